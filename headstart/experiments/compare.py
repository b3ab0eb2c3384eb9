"""Train every strategy with every seed on one data set, evaluate them alike, and leave a run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from lightning_fabric import Fabric

from headstart.data.audit import Audit, audit
from headstart.data.dataset import Dataset
from headstart.data.load import load
from headstart.errors import HeadstartError
from headstart.experiments import planning, trackers
from headstart.experiments.trial import run
from headstart.models.backbones import load_backbone
from headstart.report import images
from headstart.report.html import write_report
from headstart.results import runs
from headstart.results.comparison import Comparison, compare_runs
from headstart.runtime.console import Job, live, say
from headstart.runtime.device import describe, make_fabric, precision_of, seed_all
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
from headstart.training.preparation import Prepared, Pretrained, preparer

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
    loaded = load_backbone(backbone, image_size, weights, offline) if needs_backbone else None
    if isinstance(data, str | Path):
        data = load(data, offline=offline, image_size=image_size)
    elif callable(data):
        data = data()
    say(f"{data.name}: {len(data.train):,} train, {len(data.val):,} val, {len(data.test):,} test images, {data.source}")
    found = examine(data, strict)
    if epochs is None:
        chosen = [with_enough_steps(strategy, len(data.train)) for strategy in chosen]
    say(f"on {describe(fabric)}, {precision_of(fabric)}")
    pretrained = None if loaded is None else Pretrained(loaded, chosen, data, fabric.device)
    if pretrained is not None and time_limit is not None and image_size is None:
        pretrained = planning.at_affordable_size(time_limit, chosen, data, pretrained)
    prepare = preparer(pretrained, data, fabric.device, image_size)
    plans: dict[str, planning.Plan] = {}
    if time_limit is not None:
        plans = planning.plan(time_limit, chosen, prepare, data, pretrained, len(seeds), fabric)
        chosen = [with_epochs(strategy, plans[strategy.name].epochs) for strategy in chosen]
    folder = runs.new_folder(data.name, output)
    runs.write_json(folder / runs.AUDIT, found.as_json())
    with trackers.tracking(log, folder) as whole:
        run_all(chosen, seeds, prepare, data, fabric, folder, command, plans, whole)
        comparison = compare_runs(folder, [strategy.name for strategy in chosen], prefer)
        comparison.save()
        images.keep_pictures(comparison, data)
        write_report(comparison)
        whole.pictures(folder)
    runs.write_checksums(folder)
    return comparison


def run_all(
    strategies: Sequence[Strategy],
    seeds: Sequence[int],
    prepare: Callable[[Strategy], Prepared],
    data: Dataset,
    fabric: Fabric,
    folder: Path,
    command: str | None,
    plans: Mapping[str, planning.Plan],
    whole: trackers.Tracked,
) -> None:
    """Every strategy with every seed, one after the other; their runs are left in `folder`.

    plans: strategy -> what a time limit gave it, where there is one. whole: the trackers of the comparison, which are
    told of each run too.
    """
    jobs = [Job(strategy.name, seed, strategy.recipe.epochs) for seed in seeds for strategy in strategies]
    with live(jobs, {name: plan.epoch_seconds for name, plan in plans.items()}) as board:
        for seed in seeds:
            for strategy in strategies:
                asked = {"command": command, "plan": asdict(plans[strategy.name]) if plans else None}
                with trackers.tracking(list(whole.loggers), folder, f"{strategy.name}/seed{seed}", whole) as told:
                    seed_all(seed)
                    done = run(strategy, prepare(strategy), data, seed, fabric, folder, asked, board, told.row)
                    told.result(done)


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
