"""What can be asked of a comparison, each option once: its default, its help and its check.

The command line, `compare` and `learning_curve` in Python, the files of a run and the plan for a time limit all read it
here. Nothing here needs torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.plan import Plan
from headstart.runtime.text import shorten
from headstart.strategies import CLASS_WEIGHTS, DEFAULT, METRICS, PREFERENCES, STRATEGIES

SMALLEST_IMAGE = 32  # pixels a side: a backbone halves them five times
LARGEST_SEED = 2**32 - 1
USUAL_LIMIT, NO_LIMIT = 20 * 60.0, "none"  # seconds that a comparison may take unless asked otherwise
FOLDS = ("auto", "none")  # beside a number of them
LONGEST = 100  # letters of a value that a message tells
ALL = "all"  # training images
DEVICES = ("auto", "cpu", "cuda")
FITS = STRETCH, CROP, LETTERBOX = ("stretch", "crop", "letterbox")  # how a picture is brought into a square

Read = Callable[[Any], Any]
"""From what was typed, or given in Python, to the value; ValueError with what it must be."""


def whole_number(value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number."""
    text = str(value)
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        raise ValueError(f"is not a whole number of {least} or more" + (f", and {most} at most" if most else ""))
    return int(text)


def image_size(value: Any) -> int:
    """Pixels a side."""
    return whole_number(value, SMALLEST_IMAGE)


def seed(value: Any) -> int:
    """What random generators start from."""
    return whole_number(value, 0, LARGEST_SEED)


def seeds(value: Any) -> tuple[int, ...]:
    """One seed or several different ones, in the order they are to run."""
    values = value if isinstance(value, list | tuple | range) else [value]
    found = tuple(seed(each) for each in values)
    if not found or len(set(found)) < len(found):
        raise ValueError("is not one or more different seeds")
    return found


def several_seeds(values: list[str]) -> tuple[int, ...]:
    """What follows --seeds: how many there are to be, or each of several."""
    return tuple(range(whole_number(values[0]))) if len(values) == 1 else seeds(values)


def share(value: Any) -> float:
    """A fraction of 1, also as "5%"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", str(value))
    found = float(match[1]) / (100 if match[2] else 1) if match else 2.0
    if found > 1:
        raise ValueError("is not a share such as 1% or 0.01")
    return found


def duration(value: Any) -> float:
    """Seconds, also as "90s", "10m" or "1h30m"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", str(value))
        units = (3600, 60, 1)
        found = sum(int(n or 0) * unit for n, unit in zip(match.groups(), units, strict=True)) if match else 0.0
    if not 0 < found < float("inf"):
        raise ValueError("is not a time such as 90s, 10m or 1h30m")
    return found


def time_limit(value: Any) -> float | str:
    """Seconds, as `duration` reads them, or NO_LIMIT."""
    if value == NO_LIMIT:
        return NO_LIMIT
    try:
        return duration(value)
    except ValueError:
        raise ValueError("is neither a time such as 90s, 10m or 1h30m, nor none") from None


def days(value: Any) -> float:
    """Seconds, from "30d" or as `duration` reads them."""
    if match := re.fullmatch(r"(\d+)d", str(value)):
        return 86_400.0 * int(match[1])
    try:
        return duration(value)
    except ValueError:
        raise ValueError("is not a time such as 30d, 12h or 10m") from None


def path(value: Any) -> Path:
    """A file or folder; "~" is the home folder, as a shell would have it."""
    if not isinstance(value, str | os.PathLike) or "\0" in os.fspath(value):
        raise ValueError("is not a path, as text or pathlib.Path")
    try:
        return Path(value).expanduser()
    except RuntimeError:  # of a user who is not known
        return Path(value)


def text(value: Any) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError("is neither True nor False")
    return value


def one_of(choices: tuple[str, ...]) -> Read:
    """One of these words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"is none of {', '.join(choices)}")
        return value

    return read


def names(value: Any) -> tuple[str, ...]:
    """One name or several."""
    if not isinstance(value, str | Iterable):
        raise ValueError("is neither a name nor several")
    found = (value,) if isinstance(value, str) else tuple(value)
    return tuple(dict.fromkeys(text(each) for each in found))


def sizes(value: Any) -> tuple[int | str, ...]:
    """Several numbers of training images, or ALL."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("is not several numbers of images")
    return tuple(ALL if each == ALL else whole_number(each) for each in value)


def plans(value: Any) -> tuple[str, ...]:
    """What is planned for one strategy or several, as text."""
    found = [Plan.of(text) for text in names(value)]
    if unknown := [each.candidate for each in found if each.candidate not in STRATEGIES]:
        raise ValueError(f"is for an unknown strategy {unknown[0]!r}{nearest(unknown[0], STRATEGIES)}")
    if len({(each.candidate, each.seed) for each in found}) < len(found):
        raise ValueError("plans a strategy twice")
    return tuple(map(str, found))


def folds(value: Any) -> str:
    """How images are split where nobody did: "auto", "none", "5", "3x5"."""
    found = str(value)
    if found not in FOLDS and not re.fullmatch(r"([1-9]\d?x)?([2-9]|[1-9]\d)", found):
        raise ValueError("is none of auto, none, a number of folds such as 5, or 3x5: three times five")
    return found


def given(name: str, value: Any, read: Read) -> Any:
    """An argument as `read` reads it; HeadstartError, which names it, where it cannot be."""
    try:
        return read(value)
    except (ValueError, TypeError) as error:
        raise HeadstartError(f"{name}: {shorten(repr(value), LONGEST)} {error}") from None


def option(default: Any, read: Read, help: str, metavar: str | None = None, **how: Any) -> Any:
    """A field of Options. how: what the command line has otherwise: `many`, `also`, `hidden`."""
    return field(default=default, metadata={"read": read, "help": help, "metavar": metavar, **how})


@dataclass(frozen=True)
class Options:
    """All that can be asked of a comparison or a learning curve, checked.

    Raises HeadstartError where a value, or two together, cannot be.
    """

    strategies: tuple[str, ...] = option(DEFAULT, names, ", ".join(STRATEGIES), "NAME", many=True)
    backbone: str = option(
        "auto",
        text,
        "any timm model with pretrained weights; auto (the default): EfficientNetB0 if its weights can be had, else "
        "EfficientNet-Lite0",
        "NAME",
    )
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
        """As the files of a run keep them."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


OF_LOADING = ("data_dir", "max_bad", "follow_links", "fit", "group")  # too late for data that is loaded already
OF_DATA = (*OF_LOADING, "offline", "image_size")  # those that `load` takes
OF_VERDICT = ("prefer", "metric", "margin")  # those that say which candidate is to be taken, of what was trained
OF_RESULT = (  # those that a trained weight depends on: to resume a comparison they must be the same
    "strategies",
    "backbone",
    "image_size",
    "epochs",
    "seed",
    "folds",
    "group",
    "class_weights",
    "time_limit",
    "plan",
    "device",
)


def nearest(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """What to say behind an unknown name: the near one, and all."""
    close = get_close_matches(name, list(known), n=1)
    return (f": did you mean {close[0]!r}?" if close else ":") + f" choose from {', '.join(known)}"
