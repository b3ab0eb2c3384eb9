"""Data sets of noise, and run folders made by their own writers out of random logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart import strategies
from headstart.data.dataset import Dataset, Split
from headstart.evaluation.metrics import evaluate
from headstart.inference.classifier import Classifier
from headstart.models import build
from headstart.results import runs
from headstart.results.comparison import Comparison, compare_runs

ANIMALS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HOSTILE = ("<img src=x onerror=alert(1)>", "$x^2$", "=cmd()", "an_endless_" * 20, "鹿", r"\frac{1}{$", "🦌", "a\nb")
STRATEGIES = {  # name -> how accurate, seconds to fit, of them for the frozen part, trainable parameters
    "base-cnn": (0.81, 74.0, 0.0, 1_070_794),
    "deep-cnn": (0.94, 412.0, 0.0, 4_901_770),
    "frozen": (0.915, 61.0, 55.0, 12_810),
    "last20": (0.95, 98.0, 51.0, 2_905_000),
    "last50": (0.953, 160.0, 40.0, 3_602_000),
    "full": (0.957, 420.0, 0.0, 4_020_358),
    "random-init": (0.86, 900.0, 0.0, 4_020_358),
}
BACKBONE = {"name": "efficientnet_b0", "weights": "ImageNet-1k", "why": "the smallest of its family"}


def make_dataset(class_names: Sequence[str] = ANIMALS, per_class: int = 6, seed: int = 0, size: int = 8) -> Dataset:
    """A data set of noise, `size` pixels a side, with `per_class` images of each class in every split."""
    random = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(class_names)), per_class)
    splits = [Split(random.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8), labels) for _ in range(3)]
    return Dataset("noise", *splits, tuple(class_names), "f1" * 32, "https://example.org/<noise>")


def make_logits(labels: np.ndarray, classes: int, accuracy: float, random: np.random.Generator) -> np.ndarray:
    """Logits (N, C) that are right about as often as `accuracy` says; each class is mistaken most for the next one."""
    logits = random.normal(0, 1, (len(labels), classes))
    wrong = random.random(len(labels)) > accuracy
    steps = 1 + random.geometric(0.5, len(labels)) % max(classes - 1, 1) if classes > 2 else np.ones(len(labels), int)
    logits[np.arange(len(labels)), np.where(wrong, (labels + steps) % classes, labels)] += 7
    return logits


def write_runs(folder: Path, names: Sequence[str], seeds: Sequence[int], dataset: Dataset) -> Comparison:
    """Finished runs, compared."""
    for strategy in names:
        for seed in seeds:
            write_run(folder, strategy, seed, dataset)
    comparison = compare_runs(folder, names)
    comparison.save()
    return comparison


def write_run(comparison: Path, strategy: str, seed: int, dataset: Dataset) -> None:
    """Everything that a finished run leaves behind, except the weights."""
    accuracy, seconds, frozen_seconds, trainable = STRATEGIES[strategy]
    random = np.random.default_rng([seed, *strategy.encode()])
    labels, names, row = dataset.test.labels, dataset.class_names, strategies.STRATEGIES[strategy]
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
    parameters = 4_020_358 if on_backbone else trainable
    sizes = {name: len(getattr(dataset, name)) for name in ("train", "val", "test")}
    with runs.new_run(comparison, strategy, seed) as folder:
        config = {
            "strategy": asdict(row),
            "seed": seed,
            "dataset": {
                **{"name": dataset.name, "fingerprint": dataset.fingerprint, "source": dataset.source},
                **{"class_names": list(names), **sizes},
            },
            "backbone": BACKBONE if pretrained else None,
            "network": {"kind": "backbone" if on_backbone else strategy, "image_size": 8, "classes": len(names)},
            "retrained": ["blocks.6", "conv_head"] if row.frozen_share not in (None, 1) else [],
            "device": "cpu",
            "precision": "32-true",
            "command": "headstart compare noise --seeds 2",
        }
        scores = evaluate(logits, labels, names)
        costs = {
            **{"strategy": strategy, "seed": seed, "fit_seconds": seconds + seed, "frozen_seconds": frozen_seconds},
            **{"epochs": len(epochs), "parameters": parameters, "trainable_parameters": trainable},
            **{
                "size_mb": parameters * 4e-6,
                "latency_ms": 7.4 if on_backbone else 1.3,
                "images_per_second": 3100.0,
                "accuracy_tta": scores["accuracy"],
            },
        }
        runs.write_json(folder / runs.CONFIG, config)
        runs.write_history(
            folder,
            [dict(zip(history, row, strict=True)) for row in zip(*np.broadcast_arrays(*history.values()), strict=True)],
        )
        val_logits = make_logits(dataset.val.labels, len(names), accuracy, random)
        runs.write_predictions(folder, names, test=(logits, labels), val=(val_logits, dataset.val.labels))
        runs.write_json(
            folder / runs.ENVIRONMENT, {"python": "3.11.7", "torch": "2.11.0", "machine": {"cpu": "two cores"}}
        )
        forgetting = None if row.frozen_share is None else make_forgetting(1 - row.frozen_share, random)
        runs.write_json(folder / runs.METRICS, {**costs, **scores, "forgetting": forgetting})


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


def write_network(comparison: Path, strategy: str, dataset: Dataset) -> None:
    """The weights that `write_run` leaves out: those of a small network, untrained, for images of 32 pixels a side."""
    run = runs.Run(comparison / strategy / "seed0")
    pixels = torch.from_numpy(dataset.train.images).permute(0, 3, 1, 2)
    network, spec = build.from_scratch("base-cnn", pixels, len(dataset.class_names))
    Classifier(network, dataset.class_names).save(run.model)
    runs.write_json(run.folder / runs.CONFIG, run.config | {"network": spec})
