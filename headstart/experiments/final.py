"""The classifier to take home after cross-validation: the recommended candidate, trained once more on all images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.experiments.measuring import calibrated
from headstart.experiments.mixing import keep
from headstart.experiments.trial import Trial, checkpoints, config_of, train, untrained
from headstart.inference.novelty import reference_of
from headstart.models.network import Network
from headstart.plan import Plan
from headstart.results import runs
from headstart.results.files import write_json
from headstart.results.passes import Pass
from headstart.runtime.cache import temporary_folder
from headstart.runtime.console import say
from headstart.runtime.device import environment, make_fabric
from headstart.strategies import with_epochs, with_recipe
from headstart.training.fit import TrainVal, Watch
from headstart.training.mixtures import Line
from headstart.training.preparation import Prepared


def train_on_all(trial: Trial, passes: Sequence[Pass], dataset: Dataset) -> Path:
    """Train a candidate on all images, and leave it in its comparison's folder; returns where.

    trial: one of its runs. passes: all of them. It is trained for as many epochs as the folds chose on their val,
    the median, and its temperature is the one that suits what the folds' networks said of the images that each had not
    seen: nothing is left over to choose either by, nor to test it on. What it scores is what the folds scored, at
    least: each of their networks had fewer images.
    """
    epochs = float(median(best_epoch(run) for each in passes for run in each.runs))
    strategy = with_epochs(trial.candidate.strategy, epochs)
    strategy = with_recipe(strategy, patience=None)
    candidate = replace(trial.candidate, strategy=strategy)
    size = None if trial.plan is None else trial.plan.image_size
    views = None if trial.plan is None else trial.plan.views
    trial = replace(
        trial,
        candidate=candidate,
        split=dataset.whole.splits[0].name,
        plan=Plan(candidate.name, epochs, (), size, views),
    )
    data = dataset.whole
    say(f"{candidate.name}, once more on all {len(data):,} images, for {epochs:g} epochs")
    fabric = make_fabric(trial.setting.device)
    prepared = untrained(trial, data, fabric)
    before = copy.deepcopy(prepared.network)
    fitted, _ = train(trial, prepared, data, fabric, Watch())
    mix(trial, before, prepared, passes, data, fabric)
    logits, labels = (
        np.concatenate([getattr(each, what)[each.tested] for each in passes]) for what in ("logits", "labels")
    )
    classifier = calibrated(prepared, data, logits, labels)
    unseen = [run.novelty["test"] for each in passes for run in each.runs if run.novelty]  # each fold's, by its network
    place = trial.setting.folder / runs.CLASSIFIER
    with temporary_folder(place) as folder:
        classifier.save(folder / runs.MODEL)
        write_json(folder / runs.CONFIG, config_of(trial, prepared, data, 0, fabric))
        write_json(folder / runs.ENVIRONMENT, environment())
        runs.write_history(folder, fitted.history)
        if unseen:
            reference = reference_of(prepared, data.train, fabric)
            runs.write_novelty(folder, reference, np.concatenate(unseen), np.empty(0))
        folder.chmod(0o755)
        with temporary_folder(place) as old:  # a half-removed one must not stand in its place
            if place.exists():  # that of a candidate that was recommended before
                place.rename(old / place.name)
            folder.rename(place)
    checkpoints(trial, prepared, data, fabric).remove()
    return place


def mix(
    trial: Trial, before: Network, prepared: Prepared, passes: Sequence[Pass], data: Dataset, fabric: Fabric
) -> None:
    """Mix the network with what it was as the folds' networks were, by the median of the shares that they chose."""
    shares = [found["kept"] for each in passes for run in each.runs if (found := run.metrics.get("mixtures"))]
    if not shares or (share := float(median(shares))) == 1:
        return
    say(f"{share:.0%} of the retrained weights, the rest of those they came from, as the folds chose")
    samples = TrainVal(*(prepared.samples(part, ("identity",))[0] for part in (data.train, data.val)))
    keep(prepared.network, Line.of(before, prepared.network, samples, fabric, trial.seed), share)


def best_epoch(run: runs.Run) -> float:
    """The epoch whose weights a run has: the lowest loss on val, the last one where there was no val."""
    losses = run.history["val_loss"]
    best = int(losses.argmin()) if losses.notna().any() else -1
    return float(run.history["epoch"].iloc[best])
