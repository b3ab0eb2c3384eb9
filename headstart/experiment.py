"""Train every strategy with every seed on one data set, evaluate them alike, and leave a run folder."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from headstart import planning, runs, trackers
from headstart.classifier import Classifier
from headstart.comparison import Comparison, compare_runs
from headstart.data.audit import Audit, audit
from headstart.data.dataset import Dataset
from headstart.data.load import load
from headstart.device import describe, environment, make_fabric, precision_of, seed_all
from headstart.errors import HeadstartError
from headstart.evaluation.calibration import fit_temperature
from headstart.models.backbones import load_backbone
from headstart.models.network import Network
from headstart.preparation import FROM_SCRATCH_SIZE, Prepared, Pretrained, from_scratch
from headstart.progress import Board, Job, live, note, say
from headstart.report import images
from headstart.report.html import write_report
from headstart.scores import scores_of
from headstart.strategies import (
    DEFAULT,
    PREFERENCES,
    STRATEGIES,
    Strategy,
    named,
    with_class_weights,
    with_enough_steps,
    with_epochs,
)
from headstart.training.batches import augmented
from headstart.training.fit import Row, fit, predict
from headstart.training.forgetting import forgetting

MOST_LINES = 20  # epochs of a run that the screen tells of
SHOWN_IMAGES = 4
SHOWN_VARIANTS = 8
SHOWN_TRANSLATE = STRATEGIES["deep-cnn"].recipe.translate
SMALLEST_IMAGE = 32  # pixels a side: a backbone halves them five times


def compare(
    data: Dataset | Callable[[], Dataset] | str = "cifar10",
    strategies: Sequence[str] = DEFAULT,
    *,
    backbone: str = "auto",
    image_size: int | None = None,
    epochs: int | None = None,
    seed: int | Sequence[int] = 0,
    device: str = "auto",
    weights: str | Path | None = None,
    offline: bool = False,
    output: str | Path | None = None,
    time_limit: float | None = None,
    class_weights: str = "none",
    strict: bool = False,
    prefer: str = "accuracy",
    log: Sequence[str] = (),
    command: str | None = None,
) -> Comparison:
    """Train, evaluate and compare strategies; everything is written to a new folder, `runs/<data set>-<n>` or `output`.

    data: a data set, a name or place for `load`, or a function that gives one, called when all else has been found
    good. strategies: names from `STRATEGIES`. backbone, weights, offline: see `load_backbone`. image_size: pixels a
    side that every network sees (default: what `load_backbone` says, and 64 from scratch, where images are never made
    larger). epochs: instead of each recipe's own number, which few images raise (`with_enough_steps`). seed: one or
    several; each is a run of every strategy. device: "auto", "cpu" or "cuda". time_limit: seconds for all of it, shared
    equally between the strategies: their epochs, and the image size where none is given, are planned to fit.
    class_weights: "none" or "balanced". strict: stop where `audit` finds a fault. prefer: what counts when one is
    recommended, see `verdict.decide`. log: trackers that are told too, "tensorboard" or "mlflow". command: what was
    typed, kept with the runs. Raises HeadstartError for whatever of this cannot be had, before anything is trained.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    chosen = [with_class_weights(with_epochs(strategy, epochs), class_weights) for strategy in named(strategies)]
    output = None if output is None else Path(output)
    weights = None if weights is None else Path(weights)
    refuse_impossible(epochs, image_size, seeds, output, time_limit, prefer)
    trackers.refuse_missing(log)
    fabric = make_fabric(device)
    needs_backbone = any(strategy.network == "backbone" for strategy in chosen)
    pretrained = load_backbone(backbone, image_size, weights, offline) if needs_backbone else None
    if isinstance(data, str | Path):
        data = load(data, offline=offline, image_size=image_size)
    elif callable(data):
        data = data()
    say(f"{data.name}: {len(data.train):,} train, {len(data.val):,} val, {len(data.test):,} test images, {data.source}")
    found = examine(data, strict)
    if epochs is None:
        chosen = [with_enough_steps(strategy, len(data.train)) for strategy in chosen]
    say(f"on {describe(fabric)}, {precision_of(fabric)}")
    frozen = None if pretrained is None else Pretrained(pretrained, chosen, data, fabric.device)
    if frozen is not None and time_limit is not None and image_size is None and frozen.backbone.takes_any_size:
        size = planning.affordable_size(time_limit, chosen, data, frozen)
        if size != frozen.backbone.image_size:
            smaller = load_backbone(frozen.backbone.name, size, weights, offline)
            frozen = Pretrained(replace(smaller, why=frozen.backbone.why), chosen, data, fabric.device)

    def prepare(strategy: Strategy) -> Prepared:
        if frozen is None or strategy.network != "backbone":
            return from_scratch(strategy, data, fabric.device, image_size or FROM_SCRATCH_SIZE)
        return frozen.prepare(strategy, data)

    plans: dict[str, planning.Plan] = {}
    if time_limit is not None:
        plans = planning.plan(time_limit, chosen, prepare, data, frozen, len(seeds), fabric)
        chosen = [with_epochs(strategy, plans[strategy.name].epochs) for strategy in chosen]
    folder = runs.new_folder(data.name, output)
    runs.write_json(folder / runs.AUDIT, found.as_json())
    jobs = [Job(strategy.name, each_seed, strategy.recipe.epochs) for each_seed in seeds for strategy in chosen]
    with trackers.tracking(log, folder) as whole:
        with live(jobs, {name: each.epoch_seconds for name, each in plans.items()}) as board:
            for each_seed in seeds:
                for strategy in chosen:
                    extra = {"command": command, "plan": asdict(plans[strategy.name]) if plans else None}
                    with trackers.tracking(log, folder, f"{strategy.name}/seed{each_seed}", whole) as told:
                        seed_all(each_seed)
                        done = run(strategy, prepare(strategy), data, each_seed, fabric, folder, extra, board, told.row)
                        told.result(done)
        comparison = compare_runs(folder, [strategy.name for strategy in chosen], prefer)
        comparison.save()
        images.keep_pictures(comparison, data)
        write_report(comparison)
        whole.pictures(folder)
    runs.write_checksums(folder)
    return comparison


def examine(data: Dataset, strict: bool) -> Audit:
    """Audit a data set and say what was found; HeadstartError for a fault where `strict`."""
    found = audit(data)
    for line in found.lines(examples=1):
        say(line)
    if strict and found.faults:
        raise HeadstartError(f"--strict stops at {data.name}: {found.faults[0].said}; `headstart check` tells all")
    return found


def refuse_impossible(
    epochs: int | None,
    image_size: int | None,
    seeds: list[int],
    output: Path | None,
    time_limit: float | None = None,
    prefer: str = "accuracy",
) -> None:
    """Raise HeadstartError for what no data could make possible: the sooner it is said the better."""
    if prefer not in PREFERENCES:
        raise HeadstartError(f"unknown preference {prefer!r}: choose from {', '.join(PREFERENCES)}")
    if time_limit is not None and not time_limit > 0:
        raise HeadstartError(f"the time limit must be more than 0 seconds, not {time_limit}")
    if time_limit is not None and epochs is not None:
        raise HeadstartError("a time limit plans the epochs: give one of the two, not both")
    if epochs is not None and epochs < 1:
        raise HeadstartError(f"epochs must be 1 or more, not {epochs}")
    if image_size is not None and image_size < SMALLEST_IMAGE:
        raise HeadstartError(f"image size must be {SMALLEST_IMAGE} pixels or more, not {image_size}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise HeadstartError(f"seeds must be one or more different numbers, not {seeds}")
    if output is not None:
        runs.refuse_taken(output)


def run(
    strategy: Strategy,
    prepared: Prepared,
    data: Dataset,
    seed: int,
    fabric: Fabric,
    comparison: Path,
    asked: dict[str, Any],
    board: Board,
    on_row: Callable[[Row], None],
) -> runs.Run:
    """Train a prepared network, evaluate it on test, and write the run's folder; `asked` goes into its config too.

    board: the live view. on_row: told of every epoch.
    """
    prepared.network.to(fabric.device)
    before = copy.deepcopy(prepared.network)
    history, frozen_seconds, training_seconds = train(strategy, prepared, data, seed, fabric, board, on_row)
    val_logits = predict(prepared.network.trainable, prepared.samples(data.val, ("identity",))[0], fabric).cpu().numpy()
    logits, averaged = test(strategy, prepared, data, fabric)
    network = prepared.network
    classifier = Classifier(network, data.class_names, fit_temperature(val_logits, data.val.labels))
    parameters = sum(p.numel() for p in network.parameters())
    with runs.new_run(comparison, strategy.name, seed) as folder:
        classifier.save(folder / runs.MODEL)
        config = config_of(strategy, prepared, data, seed, fabric)
        runs.write_json(folder / runs.CONFIG, config | asked)
        runs.write_json(folder / runs.ENVIRONMENT, environment())
        runs.write_history(folder, history)
        runs.write_predictions(
            folder,
            data.class_names,
            test=(logits, data.test.labels),
            val=(val_logits, data.val.labels),
            averaged=averaged,
        )
        metrics = {
            "strategy": strategy.name,
            "seed": seed,
            **scores_of(runs.Run(folder)),
            "forgetting": forgotten(before, prepared, data, fabric),
            "fit_seconds": frozen_seconds + training_seconds,
            "frozen_seconds": frozen_seconds,
            "parameters": parameters,
            "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
            "latency_ms": classifier.latency_ms(data.test.images[0]),
        }
        runs.write_json(folder / runs.METRICS, metrics)
    say(
        f"{strategy.name} (seed {seed}): {100 * metrics['accuracy']:.2f} % on test, "
        f"{100 * metrics['accuracy_tta']:.2f} % averaged over {len(strategy.recipe.test_views)} views; "
        f"{metrics['fit_seconds']:.0f} s to fit, of which the frozen pass {frozen_seconds:.0f} s"
    )
    return runs.Run(comparison / strategy.name / f"seed{seed}")


def train(
    strategy: Strategy,
    prepared: Prepared,
    data: Dataset,
    seed: int,
    fabric: Fabric,
    board: Board,
    on_row: Callable[[Row], None],
) -> tuple[list[Row], float, float]:
    """Run the loop on train and val; returns its history, the seconds of the frozen pass and those of training."""
    train_samples, train_seconds = prepared.samples(data.train, strategy.recipe.views)
    val_samples, val_seconds = prepared.samples(data.val, ("identity",))

    epochs = strategy.recipe.epochs

    def tell(row: Row) -> None:
        board.epoch_ended(job, row)
        on_row(row)
        if row["epoch"] % math.ceil(epochs / MOST_LINES) == 0:
            note(
                f"{strategy.name} epoch {row['epoch']}/{epochs}: loss {row['train_loss']:.3f}, val loss "
                f"{row['val_loss']:.3f}, val accuracy {100 * row['val_accuracy']:.2f} %, {row['seconds']:.1f} s"
            )

    def advance(images: int) -> None:
        board.advance(job, images / len(data.train))

    started = time.perf_counter()
    with board.running(strategy.name, seed) as job:
        history = fit(
            prepared.network.trainable, train_samples, val_samples, strategy.recipe, fabric, seed, tell, advance
        )
    return history, train_seconds + val_seconds, time.perf_counter() - started


def forgotten(before: Network, prepared: Prepared, data: Dataset, fabric: Fabric) -> dict[str, Any] | None:
    """What training did to a pre-trained backbone, told by images of test; None where none was, or it had no head."""
    if prepared.old_head is None:
        return None
    samples, _ = prepared.samples(data.test, ("identity",))
    return forgetting(before, prepared.network, prepared.old_head, samples, fabric)


def test(strategy: Strategy, prepared: Prepared, data: Dataset, fabric: Fabric) -> tuple[np.ndarray, np.ndarray]:
    """The first and only look at test: logits (N, C) of the images as they are, and means over the test views."""
    samples, _ = prepared.samples(data.test, strategy.recipe.test_views)
    logits = [
        predict(prepared.network.trainable, samples, fabric, view).cpu().numpy() for view in range(len(samples.views))
    ]
    return logits[0], np.mean(logits, axis=0)


def config_of(strategy: Strategy, prepared: Prepared, data: Dataset, seed: int, fabric: Fabric) -> dict[str, Any]:
    """What was asked for, as config.json keeps it."""
    return {
        "strategy": asdict(strategy),
        "seed": seed,
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "source": data.source,
            "class_names": list(data.class_names),
            "train": len(data.train),
            "val": len(data.val),
            "test": len(data.test),
        },
        "backbone": prepared.backbone,
        "network": prepared.spec,
        "retrained": prepared.retrained,
        "device": describe(fabric),
        "precision": precision_of(fabric),
    }


def show(data: Dataset, path: Path, seed: int = 0) -> Path:
    """Draw samples with labels, class balance and what augmentation does into one PNG; returns its path."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:SHOWN_IMAGES]
    originals = torch.from_numpy(data.train.images[chosen.numpy()]).permute(0, 3, 1, 2)
    variants = []
    for _ in range(SHOWN_VARIANTS):
        shift = torch.randint(-SHOWN_TRANSLATE, SHOWN_TRANSLATE + 1, (2, len(chosen)), generator=generator)
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        variants.append(augmented(originals, torch.arange(len(chosen)), shift, mirrored))
    pixels = torch.stack([originals, *variants], dim=1).permute(0, 1, 3, 4, 2).numpy()  # (N, 1 + K, H, W, C)
    path.parent.mkdir(parents=True, exist_ok=True)
    images.show(data, (pixels[:, 0], pixels[:, 1:]), path)
    return path
