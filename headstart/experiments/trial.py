"""One strategy with one seed: trained, evaluated on test, and kept in a folder of its own."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.evaluation.calibration import fit_temperature
from headstart.inference.classifier import Classifier
from headstart.models.network import Network
from headstart.results import runs
from headstart.results.scores import scores_of
from headstart.runtime.console import Board, note, say
from headstart.runtime.device import describe, environment, precision_of
from headstart.strategies import Strategy
from headstart.training.fit import Row, fit, predict
from headstart.training.forgetting import forgetting
from headstart.training.preparation import Prepared

MOST_LINES = 20  # epochs of a run that the screen tells of


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

    epochs, look_every = strategy.recipe.epochs, strategy.recipe.look_every
    every = look_every * math.ceil(epochs / look_every / MOST_LINES)  # epochs from line to line

    def tell(row: Row) -> None:
        board.looked(job, row)
        on_row(row)
        if row["epoch"] % every == 0 or row["epoch"] == epochs:
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
