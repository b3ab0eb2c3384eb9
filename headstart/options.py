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
from headstart.strategies import CLASS_WEIGHTS, DEFAULT, METRICS, PREFERENCES, STRATEGIES
from headstart.values import (
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
RUNNERS = HERE, DASK = ("here", "dask")
FITS = STRETCH, CROP, LETTERBOX = ("stretch", "crop", "letterbox")  # how a picture is brought into a square


def option(default: Any, read: Read, help: str, metavar: str | None = None, **how: Any) -> Any:
    """A field of Options. how: what the command line has otherwise: `many`, `also`, `hidden`."""
    return field(default=default, metadata={"read": read, "help": help, "metavar": metavar, **how})


@dataclass(frozen=True)
class Options:
    """All that can be asked of a comparison or a learning curve, checked.

    Raises HeadstartError where a value, or two together, cannot be.
    """

    strategies: tuple[str, ...] = option(DEFAULT, names, ", ".join(STRATEGIES), "NAME", many=True)
    backbone: tuple[str, ...] = option(
        ("auto",),
        several,
        "any timm model with pretrained weights, or small, medium, large (see headstart backbones); auto (the "
        "default): EfficientNetB0 if its weights can be had, else EfficientNet-Lite0; of several, all are tried frozen "
        "and the best retrained",
        "NAME",
        many=True,
    )
    keep: int = option(2, whole_number, "how many of several backbones are retrained (default: 2)", "N")
    weights: Path | None = option(None, path, "a local checkpoint for the backbone named", "FILE")
    image_size: int | None = option(
        None,
        image_size,
        "pixels a side that the networks see (default: 192 on a backbone, 64 at most from scratch)",
        "N",
    )
    fit: str = option(
        STRETCH,
        one_of(FITS),
        "how a picture is brought into a square: stretch (default): all of it, distorted; crop: its middle; letterbox: "
        "all of it, between bars",
        choices=FITS,
    )
    epochs: int | None = option(None, whole_number, "instead of each recipe's own number", "N")
    seed: tuple[int, ...] = option(
        (0,),
        seeds,
        "of the one run of each strategy (default 0)",
        "N",
        also=("--seeds", several_seeds, "how many runs of each strategy, or the seed of each"),
    )
    folds: str = option(
        "auto",
        folds,
        "cross-validation, for images without a test split: K folds, or RxK: R times; none: one split (default: auto, "
        "5 where fewer than 1,000 images would be tested)",
        "K",
    )
    class_weights: str = option(
        "none",
        one_of(CLASS_WEIGHTS),
        "balanced: every class counts the same in training, however few images it has (default: none)",
        choices=CLASS_WEIGHTS,
    )
    wise: bool = option(
        False,
        flag,
        "keep of each retrained network its most accurate mixture, on val, with the weights that it came from: it "
        "forgets less",
    )
    time_limit: float | str | None = option(
        None,
        time_limit,
        "for all of it, as 90s, 10m or 1h30m (default: 20m, and none for a learning curve): what would take longer is "
        "shortened where that costs the least accuracy; none: the whole recipes",
        "TIME",
    )
    plan: tuple[str, ...] = option(
        (),
        plans,
        "train so, without a clock, as a time limit planned it: STRATEGY=EPOCHS[,size=N][,views=N]",
        "PLAN",
        many=True,
    )
    metric: str = option(
        "accuracy",
        one_of(METRICS),
        "the score that decides (default: accuracy; balanced-accuracy: every class counts the same)",
        choices=METRICS,
    )
    margin: float = option(
        0.01, share, "a difference that is surely smaller is a tie (default: 1%%, one point)", "SHARE"
    )
    prefer: str = option(
        "accuracy",
        one_of(PREFERENCES),
        "what counts when one is recommended: accuracy (default), or what is cheapest within 2 points of the best",
        choices=PREFERENCES,
    )
    device: str = option("auto", one_of(DEVICES), "default: auto", choices=DEVICES)
    devices: int = option(
        1, whole_number, "GPUs, or processes on a CPU, that train one network together (default: 1)", "N"
    )
    runner: str = option(
        HERE,
        one_of(RUNNERS),
        "here: one trial after the other (default); dask: on the cluster that DASK_SCHEDULER_ADDRESS names, else by "
        "processes on this machine's cores",
        choices=RUNNERS,
    )
    data_dir: Path | None = option(None, path, "where CIFAR-10 already lies, as batches or archive", "DIR")
    group: str | None = option(
        None,
        text,
        "keep together what belongs together, such as photos of one patient: a column of the CSV, or a pattern on the "
        "path with one capture, '(patient\\d+)'",
        "GROUP",
    )
    train_limit: int | None = option(None, whole_number, "train on so many images only", "N")
    max_bad: float = option(0.01, share, "stop where more of the files cannot be read (default: 1%%)", "SHARE")
    follow_links: bool = option(False, flag, "follow links in a folder of images; without it they are left aside")
    offline: bool = option(False, flag, "touch no network")
    strict: bool = option(False, flag, "stop where the check of the images finds a fault")
    log: tuple[str, ...] = option(
        (),
        names,
        "tell a tracker too, as it trains: tensorboard, mlflow (in mlflow.db, or where MLFLOW_TRACKING_URI says)",
        "TRACKER",
        many=True,
    )
    output: Path | None = option(
        None, path, "default: the next free runs/<data set>-<n>; one that was stopped is resumed", "DIR"
    )
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
        fixed = self.changed("epochs", "plan")
        if fixed and isinstance(self.time_limit, float):
            raise HeadstartError(f"a time limit plans what {fixed[0]} says: give one of the two, not both")
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
