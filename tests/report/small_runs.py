"""Data sets of noise, and run folders made by their own writers out of random logits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from small_data import dataset_of

from headstart.data.dataset import Dataset
from headstart.data.folds import SPLIT_SEED, in_folds
from headstart.evaluation.scores import evaluate
from headstart.inference.classifier import Classifier
from headstart.models import build
from headstart.networks import LISTED
from headstart.results import runs
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.files import write_json
from headstart.strategies import AT, STRATEGIES, Strategy, backbone_name, strategy_name

ANIMALS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HOSTILE = ("<img src=x onerror=alert(1)>", "$x^2$", "=cmd()", "an_endless_" * 20, "鹿", r"\frac{1}{$", "🦌", "a\nb")
FOUR = ("base-cnn", "deep-cnn", "frozen", "last20")  # that most tests look at, whatever rows there are
SEVEN = (*FOUR, "last50", "full", "random-init")
BACKBONE_PARAMETERS = 4_020_358


def numbers_of(strategy: Strategy) -> tuple[float, float, float, int]:
    """How accurate a strategy is here, seconds to fit, of them for the frozen part, and trainable parameters: in some
    plausible relation to its row, whatever rows there are. One from scratch is less accurate than one pre-trained; the
    more is retrained the more accurate and the slower."""
    place = SEVEN.index(strategy.name) if strategy.name in SEVEN else len(SEVEN)
    if strategy.frozen_share is None:
        own = BACKBONE_PARAMETERS if strategy.network == "backbone" else 1_070_794 * (1 + place)
        return 0.81 + 0.12 * (place % 2), 74.0 + 338.0 * place, 0.0, own
    retrained = 1 - strategy.frozen_share
    frozen_seconds = 55.0 if strategy.frozen_share else 0.0
    trainable = 12_810 + int(4e6 * retrained)
    return 0.915 + 0.04 * retrained, frozen_seconds + 6.0 + 360.0 * retrained, frozen_seconds, trainable


BACKBONE = {"name": "efficientnet_b0", "weights": "ImageNet-1k", "why": "the smallest of its family"}


def many(count: int) -> tuple[str, ...]:
    """So many candidates, as a comparison of several backbones has them: from scratch, then a few strategies on each of
    those that have the longest names."""
    backbones = sorted(LISTED, key=len, reverse=True)
    on_backbones = (f"{name}{AT}{backbone}" for backbone in backbones for name in ("frozen", "last20", "full"))
    return tuple(itertools.islice(itertools.chain(FOUR[:2], on_backbones), count))


def make_dataset(class_names: Sequence[str] = ANIMALS, per_class: int = 6, seed: int = 0, size: int = 8) -> Dataset:
    """A data set of noise, `size` pixels a side, with `per_class` images of each class in every split."""
    random = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(class_names)), per_class)
    parts = [(random.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8), labels) for _ in range(3)]
    return dataset_of("noise", class_names, *parts, source="https://example.org/<noise>")


def make_folds(class_names: Sequence[str] = ANIMALS, per_class: int = 7, folds: str = "5") -> Dataset:
    """The same in so many folds, each image tested by one of them: three times as many are tested."""
    return in_folds(replace(make_dataset(class_names, per_class), cut=("val", "test")), folds, SPLIT_SEED)


def make_logits(labels: np.ndarray, classes: int, accuracy: float, random: np.random.Generator) -> np.ndarray:
    """Logits (N, C) that are right about as often as `accuracy` says; each class is mistaken most for the next one."""
    logits = random.normal(0, 1, (len(labels), classes))
    wrong = random.random(len(labels)) > accuracy
    steps = 1 + random.geometric(0.5, len(labels)) % max(classes - 1, 1) if classes > 2 else np.ones(len(labels), int)
    logits[np.arange(len(labels)), np.where(wrong, (labels + steps) % classes, labels)] += 7
    return logits


def write_runs(folder: Path, names: Sequence[str], seeds: Sequence[int], dataset: Dataset) -> Comparison:
    """Finished runs on every split of the data, compared."""
    trials = [
        {"candidate": name, "split": split.name, "seed": seed}
        for split in dataset.splits
        for name in names
        for seed in seeds
    ]
    for trial in trials:
        write_run(folder, trial["candidate"], trial["seed"], dataset, trial["split"])
    write_json(folder / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "comparison", "trials": trials})
    comparison = compare_runs(folder)
    comparison.save()
    return comparison


def write_run(comparison: Path, candidate: str, seed: int, data: Dataset, split: str = "holdout") -> None:
    """Everything that a finished run leaves behind, except the weights."""
    row, tested, dataset = STRATEGIES[strategy_name(candidate)], data.tested.rows, data.on(split)
    accuracy, seconds, frozen_seconds, trainable = numbers_of(row)
    of_fold = () if split == "holdout" else split.encode()
    random = np.random.default_rng([seed, *candidate.encode(), *of_fold])
    labels, names = dataset.test.labels, dataset.class_names
    pretrained = row.frozen_share is not None
    logits = make_logits(labels, len(names), accuracy + random.normal(0, 0.004), random)
    epochs = np.arange(1, 9 if pretrained else 21)
    decay = 1.6 * np.exp(-epochs / 3) + random.normal(0, 0.01, len(epochs))
    history = {
        "epoch": epochs,
        "seconds": seconds / len(epochs),
        "train_loss": decay + 0.05,
        "train_accuracy": 0.99 - 0.5 * np.exp(-epochs / 3),
        "val_loss": decay + 0.2 * epochs / len(epochs) + 0.15,
        "val_accuracy": accuracy - 0.4 * np.exp(-epochs / 3),
        "learning_rate": 1e-3,
        "images_per_second": 3100.0,
    }
    on_backbone = row.network == "backbone"
    parameters = BACKBONE_PARAMETERS if on_backbone else trainable
    sizes = {name: len(part) for name, part in dataset.parts.items()}
    with runs.new_run(runs.run_folder(comparison, candidate, split, seed)) as folder:
        config = {
            "schema": runs.SCHEMA,
            "candidate": candidate,
            "strategy": asdict(row),
            "split": split,
            "seed": seed,
            "dataset": {
                **{"name": dataset.name, "fingerprint": dataset.fingerprint, "source": dataset.source},
                **{"class_names": list(names), **sizes, "tested": len(tested)},
            },
            "backbone": BACKBONE | {"name": backbone_name(candidate) or BACKBONE["name"]} if pretrained else None,
            "network": {"kind": row.network, "image_size": 8, "classes": len(names)},
            "retrained": ["blocks.6", "conv_head"] if row.frozen_share not in (None, 1) else [],
            "device": "cpu",
            "precision": "32-true",
            "command": "headstart compare noise --seeds 2",
        }
        scores = evaluate(logits, labels, names)
        costs = {
            **{"candidate": candidate, "split": split, "seed": seed},
            **{"fit_seconds": seconds + seed, "frozen_seconds": frozen_seconds},
            **{"epochs": len(epochs), "parameters": parameters, "trainable_parameters": trainable},
            **{
                "size_mb": parameters * 4e-6,
                "latency_ms": 7.4 if on_backbone else 1.3,
                "images_per_second": 3100.0,
                "accuracy_tta": scores["accuracy"],
            },
        }
        write_json(folder / runs.CONFIG, config)
        runs.write_history(
            folder,
            [dict(zip(history, row, strict=True)) for row in zip(*np.broadcast_arrays(*history.values()), strict=True)],
        )
        val_logits = make_logits(dataset.val.labels, len(names), accuracy, random)
        predictions = {"test": (logits, labels), "val": (val_logits, dataset.val.labels)}
        runs.write_predictions(folder, names, **predictions, places=np.searchsorted(tested, dataset.test.rows))
        write_json(folder / runs.ENVIRONMENT, {"python": "3.11.7", "torch": "2.11.0", "machine": {"cpu": "two cores"}})
        forgetting = None if row.frozen_share is None else make_forgetting(1 - row.frozen_share, random)
        mixtures = make_mixtures(scores["accuracy"]) if row.frozen_share not in (None, 1) else None
        write_json(folder / runs.METRICS, {**costs, **scores, "forgetting": forgetting, "mixtures": mixtures})


def make_forgetting(retrained: float, random: np.random.Generator) -> dict[str, Any]:
    """What a run says of forgetting: none where nothing was retrained, the more the more was."""
    moved = retrained * (1 + random.uniform(-0.1, 0.1))
    return {
        "images": 2000,
        "agreement": 1 - 0.6 * moved,
        "divergence": 1.2 * moved,
        "weight_distance": 0.1 * moved,
        "by_piece": {"blocks.5": 0.02 * moved, "blocks.6": 0.1 * moved},
        "cka": {"blocks.6": 1 - 0.2 * moved, "features": 1 - 0.3 * moved} if retrained else {"features": 1.0},
    }


def make_mixtures(accuracy: float) -> dict[str, Any]:
    """What a run says of mixtures: half of what was retrained is as accurate as all of it."""
    rows = [
        {"share": share, "accuracy": accuracy - 0.1 * max(0.0, 0.5 - share), "agreement": 1 - share, "cka": 1 - share}
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    return {"rows": rows, "best": 0.5, "kept": 1.0}


def write_network(comparison: Path, strategy: str, dataset: Dataset) -> None:
    """The weights that `write_run` leaves out: those of a small network, untrained, for images of 32 pixels a side."""
    run = runs.Run(runs.run_folder(comparison, strategy, "holdout", 0))
    network, spec = build.from_scratch("base-cnn", dataset.train.images, len(dataset.class_names))
    Classifier(network, dataset.class_names).save(run.model)
    write_json(run.folder / runs.CONFIG, run.config | {"network": spec, "sides": [dataset.image_shape[0]]})
