"""A trial: one candidate, on one split, with one seed, trained, tested and kept in a folder of its own."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from headstart import __version__
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.evaluation.novelty import distances
from headstart.experiments.measuring import calibrated, on_test, on_val, sides_of
from headstart.experiments.mixing import mixed, original_of
from headstart.inference.agreement import saved_network
from headstart.inference.novelty import reference_of
from headstart.models.backbones import Backbone, load_backbone
from headstart.models.network import features_of, last_linear
from headstart.options import Options
from headstart.plan import Plan
from headstart.results import runs
from headstart.results.files import write_json
from headstart.results.scores import LEAST_AGREEMENT, scores_of
from headstart.runtime.console import note, say
from headstart.runtime.device import describe, environment, hardware, kept_probes, make_fabric, precision_of, seed_all
from headstart.runtime.places import refuse_full
from headstart.strategies import (
    PROBE,
    STRATEGIES,
    Candidate,
    Weights,
    candidates_of,
    with_enough_steps,
    with_epochs,
    with_recipe,
)
from headstart.training.checkpoint import Checkpoints
from headstart.training.fit import Fitted, Row, TrainVal, Watch, fit
from headstart.training.preparation import Prepared, Pretrained, prepare

MOST_LINES = 20  # epochs of a run that the screen tells of
ROOM = 2.5  # times the weights: that file, and all that is written beside it


@dataclass(frozen=True)
class Setting:
    """What all trials of a comparison share.

    folder: the comparison's. shares: how much of their backbone the candidates freeze, all served by one pass. command:
    what was typed. begun: the comparison's folder that has the checkpoints, where that is another one.
    """

    folder: Path
    device: str = "auto"
    image_size: int | None = None
    shares: tuple[float, ...] = ()
    command: str | None = None
    begun: Path | None = None


@dataclass(frozen=True)
class Trial:
    """One run that is to be: a plain record, enough for `run_trial` wherever the data and the weights are.

    plan: what made the candidate other than its whole recipe. seconds: how long it is expected to take.
    """

    candidate: Candidate
    split: str
    seed: int
    setting: Setting
    plan: Plan | None = None
    seconds: float = math.inf

    @property
    def name(self) -> str:
        """What the screen and the trackers call it."""
        return f"{self.candidate.name}/{self.folder.name}"

    @property
    def folder(self) -> Path:
        """The folder that its run gets."""
        return runs.run_folder(self.setting.folder, self.candidate.name, self.split, self.seed)


def run_trial(trial: Trial, data: Dataset, watch: Watch | None = None, fabric: Fabric | None = None) -> runs.Run:
    """Train a candidate, evaluate it on test, and leave its run folder. fabric: by all of its processes, of which this
    one is the first (None: by this one alone)."""
    candidate, tested = trial.candidate, data.tested.rows
    data = data.on(trial.split)
    fabric = fabric or make_fabric(trial.setting.device)
    prepared = untrained(trial, data, fabric)
    weights_bytes = sum(p.numel() * p.element_size() for p in prepared.network.parameters())
    refuse_full(trial.setting.folder, ROOM * weights_bytes, f"the run {trial.name}")
    before = copy.deepcopy(prepared.network)
    fitted, frozen_seconds = train(trial, prepared, data, fabric, watch or Watch())
    original = original_of(before, prepared, data, fabric)
    is_wise = candidate.strategy.recipe.wise
    mixtures = mixed(before, prepared, data, original, fabric, trial.seed, is_wise)
    with features_of(prepared.network) as of_val:
        val_logits = on_val(prepared, data, fabric)
    with features_of(prepared.network) as of_test:
        logits, averaged = on_test(prepared, data, candidate.strategy.recipe.test_views, fabric)
    reference = reference_of(prepared, data.train, fabric)
    as_they_are = torch.cat(of_test)[: len(data.test)]  # their first view
    nothing = torch.empty(0, last_linear(prepared.network).in_features)  # of a val that is empty
    far = [distances(each.numpy(), reference) for each in (torch.cat([nothing, *of_val]), as_they_are)]
    classifier = calibrated(prepared, data, val_logits, data.val.labels)
    fit_seconds = frozen_seconds + fitted.seconds
    with runs.new_run(trial.folder) as folder:
        classifier.save(folder / runs.MODEL)
        plan = trial.plan and replace(trial.plan, changes=fitted.changes)
        write_json(folder / runs.CONFIG, config_of(replace(trial, plan=plan), prepared, data, len(tested), fabric))
        write_json(folder / runs.ENVIRONMENT, environment())
        runs.write_history(folder, fitted.history)
        saved, latency_ms = saved_network(folder, data.test, logits)
        runs.write_predictions(
            folder,
            data.class_names,
            test=(logits, data.test.labels),
            val=(val_logits, data.val.labels),
            averaged=averaged,
            places=np.searchsorted(tested, data.test.rows),
        )
        runs.write_novelty(folder, reference, *far)
        metrics = {
            "candidate": candidate.name,
            "split": trial.split,
            "seed": trial.seed,
            **scores_of(runs.Run(folder)),
            "ended": fitted.ended,
            "forgetting": original and original.forgotten(prepared.network),
            "mixtures": mixtures,
            "fit_seconds": fit_seconds,
            "frozen_seconds": frozen_seconds,
            "parameters": sum(p.numel() for p in prepared.network.parameters()),
            "trainable_parameters": sum(p.numel() for p in prepared.network.parameters() if p.requires_grad),
            "latency_ms": latency_ms,
            "saved_network": saved,
        }
        write_json(folder / runs.METRICS, metrics)
    checkpoints(trial, prepared, data, fabric).remove()
    tell(trial, metrics)
    return runs.Run(trial.folder)


def untrained(trial: Trial, data: Dataset, fabric: Fabric) -> Prepared:
    """A trial's network before training, on the device; all random numbers from here on follow from its seed."""
    candidate, setting, shared = trial.candidate, trial.setting, None
    if candidate.weights is not None:
        shared = pretrained(candidate.weights, setting.shares, data.image_shape, fabric.device)
    seed_all(trial.seed)
    prepared = prepare(candidate.strategy, data, shared, setting.image_size, fabric.device)
    prepared.network.to(fabric.device)
    return prepared


def train_along(trial: Trial, data: Dataset, fabric: Fabric) -> None:
    """What the other processes of `fabric` do while the first one is in `run_trial`. What a frozen part gives they find
    in the cache, where the first has kept it."""
    data = data.on(trial.split)
    train(trial, untrained(trial, data, fabric), data, fabric, Watch())


def tell(trial: Trial, metrics: dict[str, Any]) -> None:
    """Say what came of a trial, and where its saved network does not say what was measured."""
    say(
        f"{trial.candidate.name} (seed {trial.seed}): {100 * metrics['accuracy']:.2f} % on test, "
        f"{100 * metrics['accuracy_tta']:.2f} % averaged over {len(trial.candidate.strategy.recipe.test_views)} views; "
        f"{metrics['fit_seconds']:.0f} s to fit, of which the frozen pass {metrics['frozen_seconds']:.0f} s"
    )
    saved = metrics["saved_network"]
    if saved["agreement"] < LEAST_AGREEMENT:
        say(
            f"{trial.candidate.name} (seed {trial.seed}): the saved network gives {saved['images']:,} test images the "
            f"measured class in {100 * saved['agreement']:.2f} % of cases only"
        )


def planned(candidate: Candidate, plan: Plan) -> Candidate:
    """The candidate as a plan has it."""
    weights = candidate.weights
    if weights is not None and plan.image_size is not None:
        weights = replace(weights, image_size=plan.image_size)
    return replace(candidate, strategy=plan.apply(candidate.strategy), weights=weights)


def candidates_for(options: Options, train_images: int, backbones: Sequence[Weights]) -> list[Candidate]:
    """What is trained, by the recipes that these options and so many training images give. Of several backbones all are
    probed, asked for or not."""
    wanted = {*options.strategies, *((PROBE,) if len(backbones) > 1 else ())}
    chosen = [STRATEGIES[name] for name in STRATEGIES if name in wanted]
    kept = {"class_weights": options.class_weights, "wise": options.wise}
    chosen = [with_recipe(with_epochs(each, options.epochs), **kept) for each in chosen]
    if options.epochs is None:
        chosen = [with_enough_steps(each, train_images) for each in chosen]
    return candidates_of(chosen, backbones)


def weights_of(backbone: Backbone, file: Path | None, offline: bool) -> Weights:
    """The record by which a trial finds a backbone again."""
    found = str(file) if file is not None else None
    return Weights(backbone.name, backbone.image_size, backbone.sha256, backbone.weights, backbone.why, found, offline)


@lru_cache(maxsize=16)  # so many backbones; trials of one process share the backbone and the engine of its pass
def pretrained(
    weights: Weights, shares: tuple[float, ...], image_shape: tuple[int, int, int], device: torch.device
) -> Pretrained:
    """The backbone of these weights and the pass that its candidates share.

    Raises HeadstartError where the weights that are found here are other ones.
    """
    file = Path(weights.file) if weights.file is not None else None
    backbone = load_backbone(weights.name, weights.image_size, file, weights.offline)
    if backbone.sha256 != weights.sha256:
        raise HeadstartError(
            f"the weights of {weights.name} found here ({backbone.weights}) have SHA-256 {backbone.sha256[:12]}..., "
            f"and this comparison began with {weights.sha256[:12]}..."
        )
    return Pretrained(replace(backbone, why=weights.why), shares, image_shape, device)


def train(trial: Trial, prepared: Prepared, data: Dataset, fabric: Fabric, watch: Watch) -> tuple[Fitted, float]:
    """Run the loop on train and val, from the last checkpoint on where there is one, and say where it broke off;
    returns what came of it, and the seconds of the frozen pass."""
    recipe = trial.candidate.strategy.recipe
    train_samples, train_seconds = prepared.samples(data.train, recipe.views)
    val_samples, val_seconds = prepared.samples(data.val, ("identity",))
    every = max(1, math.ceil(recipe.epochs / recipe.validate_every / MOST_LINES))  # validations from line to line
    lines = count(1)

    def tell(row: Row) -> None:
        watch.on_row(row)
        if next(lines) % every == 0:
            on_val = f"val loss {row['val_loss']:.3f}, val accuracy {100 * row['val_accuracy']:.2f} %, "
            note(
                f"{trial.candidate.name} epoch {row['epoch']:g}: loss {row['train_loss']:.3f}, "
                f"{on_val if len(val_samples) else ''}{row['seconds']:.1f} s"
            )

    samples = TrainVal(train_samples, val_samples)
    epochs = watch.epochs or dict(trial.plan.changes if trial.plan else ()).get
    told, kept = Watch(tell, watch.on_batch, epochs), None
    if fabric.is_global_zero:
        kept = checkpoints(trial, prepared, data, fabric)
        fabric.broadcast(("trial", trial, kept_probes()))  # now that the cache has what the others are to find there
    fitted = fit(prepared.network.trainable, samples, recipe, fabric, trial.seed, told, kept)
    if fitted.ended:
        say(f"{trial.candidate.name} (seed {trial.seed}): {fitted.ended}")
    return fitted, train_seconds + val_seconds


def checkpoints(trial: Trial, prepared: Prepared, data: Dataset, fabric: Fabric) -> Checkpoints:
    """Where a trial keeps what it stands at, and all that the bits of its result follow from."""
    rows = [data.splits[0].train, data.splits[0].val]
    made_by = {
        "headstart": __version__,
        "hardware": hardware(fabric.device),
        "devices": fabric.world_size,
        "precision": precision_of(fabric),
        "strategy": asdict(trial.candidate.strategy),
        "plan": trial.plan and str(replace(trial.plan, seed=None)),
        "seed": trial.seed,
        "data": data.fingerprint,
        "rows": hashlib.sha256(b" ".join(each.tobytes() for each in rows)).hexdigest(),
        "network": prepared.spec,
        "weights": (prepared.backbone or {}).get("sha256"),
        "engine": ((prepared.backbone or {}).get("engine") or {}).get("engine"),
    }
    place = trial.setting.begun or trial.setting.folder
    folder = runs.checkpoint_folder(place, trial.candidate.name, trial.split, trial.seed)
    return Checkpoints(folder, made_by, trial.name)


def config_of(trial: Trial, prepared: Prepared, data: Dataset, tested: int, fabric: Fabric) -> dict[str, Any]:
    """What was asked for, as config.json keeps it; tested: how many images any split tests."""
    return {
        "schema": runs.SCHEMA,
        "candidate": trial.candidate.name,
        "strategy": asdict(trial.candidate.strategy),
        "split": trial.split,
        "seed": trial.seed,
        "dataset": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "source": data.source,
            "class_names": list(data.class_names),
            **{part: len(rows) for part, rows in data.splits[0].parts.items()},
            "tested": tested,
        },
        "backbone": prepared.backbone,
        "network": prepared.spec,
        "sides": list(sides_of(prepared, data)),
        "fit": data.fit,
        "whites": dict(data.whites),
        "retrained": prepared.retrained,
        "device": describe(fabric),
        "precision": precision_of(fabric),
        "command": trial.setting.command,
        "plan": None if trial.plan is None else str(trial.plan),
    }
