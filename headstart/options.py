"""What can be asked of a comparison, each option once: its default, its help and its check.

The command line, `compare` and `learning_curve` in Python, the files of a run and the plan for a time limit all read it
here. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.networks import LISTED, SIZES
from headstart.plan import Plan
from headstart.strategies import CLASS_WEIGHTS, DEFAULT, METRICS, PREFERENCES, STRATEGIES, strategy_name
from headstart.values import (
    FOLDS,
    NO_LIMIT,
    Read,
    flag,
    folds,
    given,
    image_size,
    names,
    nearest,
    one_of,
    path,
    plans,
    seeds,
    several,
    several_seeds,
    share,
    text,
    time_limit,
    whole_number,
)

USUAL_LIMIT = 20 * 60.0  # seconds that a comparison may take unless asked otherwise
DEVICES = ("auto", "cpu", "cuda")
EXPORTED = ONNX, OPENVINO, TORCH, WEB = ("onnx", "openvino", "torch", "web")  # what a classifier is exported to
MAX_LOSS = 0.5  # points of accuracy that an export in 8 bits may lose
TRACKED = TENSORBOARD, MLFLOW = ("tensorboard", "mlflow")
RUNNERS = HERE, DASK = ("here", "dask")
FITS = STRETCH, CROP, LETTERBOX = ("stretch", "crop", "letterbox")  # how a picture is brought into a square
IMAGES, NETWORKS, TRAINING, VERDICT, MACHINE = ("images", "networks", "training", "verdict", "machine and run")
LONGS = ("time_limit", "epochs", "plan")  # of which one says how long is trained


def option(default: Any, read: Read, help: str, metavar: str | None = None, **how: Any) -> Any:
    """A field of Options. help: a line of `--help`, docs/commands.md has the whole. how: what the command line has
    otherwise: `under` which title of `--help`, `many`, `also`, `choices` (of an option with many, or any that reads
    more than them, only those to complete), `hidden`."""
    return field(default=default, metadata={"read": read, "help": help, "metavar": metavar, **how})


@dataclass(frozen=True)
class Options:
    """All that can be asked of a comparison or a learning curve, checked.

    Raises HeadstartError where a value, or two together, cannot be.
    """

    strategies: tuple[str, ...] = option(
        DEFAULT, names, ", ".join(STRATEGIES), "NAME", under=NETWORKS, many=True, choices=tuple(STRATEGIES)
    )
    backbone: tuple[str, ...] = option(
        ("auto",),
        several,
        "small, medium, large, any of timm's (default: auto)",
        "NAME",
        under=NETWORKS,
        many=True,
        choices=("auto", *SIZES, *LISTED),
    )
    keep: int = option(2, whole_number, "retrain so many of several backbones (default: 2)", "N", under=NETWORKS)
    weights: Path | None = option(None, path, "a local checkpoint for the backbone named", "FILE", under=NETWORKS)
    image_size: int | None = option(
        None, image_size, "pixels a side (default: 192, from scratch 64 at most)", "N", under=IMAGES
    )
    fit: str = option(
        STRETCH, one_of(FITS), "into a square: stretch (default), crop, letterbox", "HOW", under=IMAGES, choices=FITS
    )
    epochs: int | None = option(None, whole_number, "instead of each recipe's own number", "N", under=TRAINING)
    seed: tuple[int, ...] = option(
        (0,),
        seeds,
        "of the one run of each strategy (default: 0)",
        "N",
        under=TRAINING,
        also=("--seeds", several_seeds, "how many runs of each, or the seed of each"),
    )
    folds: str = option(
        "auto", folds, "cross-validation: K, RxK or none (default: auto)", "K", under=IMAGES, choices=FOLDS
    )
    class_weights: str = option(
        "none",
        one_of(CLASS_WEIGHTS),
        "none (default), balanced: classes count the same",
        "HOW",
        under=TRAINING,
        choices=CLASS_WEIGHTS,
    )
    wise: bool = option(False, flag, "mix with the weights it came from: forgets less", under=TRAINING)
    time_limit: float | str | None = option(
        None, time_limit, "for all, as 90s, 10m, 1h30m or none (default: 20m)", "TIME", under=TRAINING
    )
    plan: tuple[str, ...] = option(
        (), plans, "as planned before: STRATEGY=EPOCHS[,size=N]", "PLAN", under=TRAINING, many=True
    )
    metric: str = option(
        "accuracy",
        one_of(METRICS),
        f"what decides: {', '.join(METRICS)}",
        "SCORE",
        under=VERDICT,
        choices=METRICS,
    )
    margin: float = option(0.01, share, "what is surely less is a tie (default: 1%%)", "SHARE", under=VERDICT)
    prefer: str = option(
        "accuracy",
        one_of(PREFERENCES),
        f"{PREFERENCES[0]} (default), or {', '.join(PREFERENCES[1:])}",
        "WHAT",
        under=VERDICT,
        choices=PREFERENCES,
    )
    device: str = option(
        "auto",
        one_of(DEVICES),
        ", ".join(DEVICES).replace(",", " (default),", 1),
        "NAME",
        under=MACHINE,
        choices=DEVICES,
    )
    devices: int = option(1, whole_number, "GPUs or processes that train each (default: 1)", "N", under=MACHINE)
    runner: str = option(
        HERE, one_of(RUNNERS), "here (default), dask: on a cluster", "WHERE", under=MACHINE, choices=RUNNERS
    )
    data_dir: Path | None = option(None, path, "where CIFAR-10 lies, as batches or archive", "DIR", under=IMAGES)
    group: str | None = option(None, text, "keep together: a column, or '(pattern)' on the path", "GROUP", under=IMAGES)
    train_limit: int | None = option(None, whole_number, "train on so many images only", "N", under=IMAGES)
    max_bad: float = option(0.01, share, "stop where more cannot be read (default: 1%%)", "SHARE", under=IMAGES)
    follow_links: bool = option(False, flag, "follow links in a folder of images", under=IMAGES)
    offline: bool = option(False, flag, "touch no network", under=MACHINE)
    strict: bool = option(False, flag, "stop where the check of images finds a fault", under=IMAGES)
    log: tuple[str, ...] = option(
        (), names, f"tell a tracker too: {', '.join(TRACKED)}", "TRACKER", under=MACHINE, many=True, choices=TRACKED
    )
    output: Path | None = option(None, path, "default: the next free runs/<data set>-<n>", "DIR", under=MACHINE)
    command: str | None = option(None, text, "what was typed, kept with the runs", hidden=True)

    def __post_init__(self) -> None:
        for each in fields(self):
            if (value := getattr(self, each.name)) is not None:
                object.__setattr__(self, each.name, given(each.name, value, each.metadata["read"]))
        if unknown := [name for name in self.strategies if name not in STRATEGIES]:
            raise HeadstartError(f"unknown strategy {unknown[0]!r}{nearest(unknown[0], STRATEGIES)}")
        if not self.strategies:
            raise HeadstartError(f"no strategy given: choose from {', '.join(STRATEGIES)}")
        if self.weights is not None and len(self.backbone) > 1:
            raise HeadstartError(
                f"--weights {self.weights} are for one --backbone, and {len(self.backbone)} were given"
            )
        if self.devices > 1 and self.runner != HERE:
            raise HeadstartError(
                f"--devices {self.devices} is for trials that are run here: leave out it, or --runner {self.runner}"
            )
        fixed = self.changed(*LONGS[1:])
        if fixed and isinstance(self.time_limit, float):
            raise HeadstartError(f"a time limit plans what {fixed[0]} says: give one of the two, not both")
        named = {strategy_name(Plan.of(each).candidate) for each in self.plan}
        if strange := [] if len(self.backbone) > 1 else sorted(named - {*self.strategies}):  # several are probed first
            raise HeadstartError(f"the plan is of {strange[0]}, which is none of the strategies that are asked for")
        if {Plan.of(each).candidate for each in self.plan if not Plan.of(each).epochs} >= {*self.strategies}:
            raise HeadstartError("the plan leaves out every strategy that is asked for")
        if len(fixed) == 2:
            raise HeadstartError("a plan says the epochs: give one of the two, not both")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """The options of a call in Python; HeadstartError, with the near one, for one that there is not."""
        known = [each.name for each in fields(cls)]
        if unknown := [name for name in given if name not in known]:
            raise HeadstartError(f"unknown option {unknown[0]!r}{nearest(unknown[0], known)}")
        return cls(**given)

    def limit(self, usual: float | None = USUAL_LIMIT) -> float | None:
        """The time limit in seconds that is to be planned for, `usual` where none was given; None where there is to be
        none, or epochs or a plan were given instead."""
        if self.epochs is not None or self.plan or self.time_limit == NO_LIMIT:
            return None
        return usual if self.time_limit is None else float(self.time_limit)

    @property
    def of_verdict(self) -> dict[str, Any]:
        """What says which candidate is to be taken."""
        return {name: getattr(self, name) for name in OF_VERDICT}

    def changed(self, *options: str) -> list[str]:
        """Those of these options that have another value than their default."""
        default = {each.name: each.default for each in fields(self)}
        return [name for name in options if getattr(self, name) != default[name]]

    def as_json(self) -> dict[str, Any]:
        """As the files of a run keep them; of one backbone, and on one device, as they did before there could be
        several."""
        content = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}
        if len(self.backbone) == 1:
            content["backbone"] = self.backbone[0]
            del content["keep"]
        if self.devices == 1:
            del content["devices"]
        return content


OF_LOADING = ("data_dir", "max_bad", "follow_links", "fit", "group")  # too late for data that is loaded already
OF_DATA = (*OF_LOADING, "offline", "image_size")  # those that `load` takes
OF_VERDICT = ("prefer", "metric", "margin")  # those that say which candidate is to be taken, of what was trained
OF_RESULT = (  # those that a trained weight depends on: to resume a comparison they must be the same
    "strategies",
    "backbone",
    "keep",
    "image_size",
    "epochs",
    "seed",
    "folds",
    "group",
    "class_weights",
    "wise",
    "time_limit",
    "plan",
    "device",
    "devices",
)
