"""The command line: parse, call, print. Nothing heavy is imported before a command is known to be well formed."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from headstart import __version__
from headstart.errors import HeadstartError
from headstart.strategies import CLASS_WEIGHTS, DEFAULT, PREFERENCES, STRATEGIES

FINDINGS, USER_ERROR = 1, 2
EXAMPLES = 3  # that are shown of a finding


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(USER_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What goes wrong is one line: exit code 2 where the user can put it right, 1 where the machine
    cannot go on (disk, permission, memory), 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = vars(make_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        command(typed=shlex.join(["headstart", *arguments]), **options)
    except HeadstartError as error:
        sys.exit(_said(f"headstart: {error}", USER_ERROR))
    except KeyboardInterrupt:
        sys.exit(_said("headstart: interrupted; finished runs are kept", 130))
    except OSError as error:
        sys.exit(
            _said(
                f"headstart: {error.strerror or error}: {error.filename or 'no file named'}; finished runs are kept", 1
            )
        )
    except (MemoryError, RuntimeError) as error:
        if type(error).__name__ not in ("MemoryError", "OutOfMemoryError"):
            raise
        sys.exit(_said("headstart: out of memory: take a smaller --image-size, or other strategies", 1))


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="headstart",
        description="Does a pre-trained network give you a head start on your images, and how much should you retrain?",
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)

    compare = commands.add_parser("compare", help="train the strategies, evaluate them alike, say which to take")
    compare.set_defaults(command=run_compare)
    _add_data_options(compare)
    _add_training_options(compare, list(DEFAULT))
    compare.add_argument(
        "--prefer",
        choices=PREFERENCES,
        default="accuracy",
        help="what counts when one is recommended: accuracy (default), or what is cheapest within 2 points of the best",
    )
    compare.add_argument(
        "--time-limit",
        type=_seconds,
        metavar="TIME",
        help="for the whole comparison, as 90s, 10m or 1h30m: epochs and image size are planned to fit",
    )
    compare.add_argument(
        "--class-weights",
        choices=CLASS_WEIGHTS,
        default="none",
        help="balanced: every class counts the same in training, however few images it has",
    )
    compare.add_argument("--strict", action="store_true", help="stop where the check of the images finds a fault")
    _add_max_bad(compare)
    compare.add_argument(
        "--log",
        nargs="+",
        metavar="TRACKER",
        default=[],
        help="tell a tracker too, as it trains: tensorboard, mlflow (in mlflow.db, or where MLFLOW_TRACKING_URI says)",
    )
    compare.add_argument("--output", type=Path, metavar="DIR", help="default: the next free runs/<data set>-<n>")

    curve = commands.add_parser(
        "learning-curve", help="compare on more and more training images: what more would bring, who catches up when"
    )
    curve.set_defaults(command=run_learning_curve)
    _add_place(curve)
    curve.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        metavar="N",
        help="training images, or all (default: those of 100, 300, 1000, 3000, 10000 that there are, and all)",
    )
    _add_training_options(curve, list(DEFAULT))
    _add_max_bad(curve)
    curve.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="default: the next free runs/<data set>-curve-<n>; sizes that are finished there are not trained again",
    )

    check = commands.add_parser("check", help="look a data set over: exit code 0 where it is clean, 1 with findings")
    check.set_defaults(command=run_check)
    _add_place(check)
    check.add_argument("--json", type=Path, metavar="FILE", help="write all findings there")

    verify = commands.add_parser(
        "verify", help="check a run's files and recompute its numbers: exit code 0 where all is right, 1 with findings"
    )
    verify.set_defaults(command=run_verify)
    verify.add_argument(
        "folder",
        type=Path,
        metavar="RUN",
        help="a comparison's folder, such as runs/cifar10-1, one run in it, or that of a learning curve",
    )

    show = commands.add_parser("show", help="draw samples, class balance and what augmentation does")
    show.set_defaults(command=run_show)
    _add_data_options(show)
    show.add_argument("--output", type=Path, metavar="FILE.png", help="default: <data set>.png")

    for name, run, words in (
        ("report", run_report, "make a comparison's table, figures and report.html again, from its folder alone"),
        ("slides", run_slides, "make a presentation of a comparison: slides.pdf, in its folder"),
    ):
        again = commands.add_parser(name, help=words)
        again.set_defaults(command=run)
        again.add_argument("folder", type=Path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="?",
        default="cifar10",
        metavar="DATA",
        help="cifar10 (default), a folder (<class>/... or {train,val,test}/<class>/...) or a CSV (path,label[,split])",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 already lies, as batches or archive"
    )
    parser.add_argument("--offline", action="store_true", help="touch no network")


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    parser.add_argument("--train-limit", type=_positive, metavar="N", help="train on so many images only")


def _add_training_options(parser: argparse.ArgumentParser, strategies: list[str]) -> None:
    parser.add_argument("--strategies", nargs="+", metavar="NAME", default=strategies, help=", ".join(STRATEGIES))
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        default="auto",
        help="any timm model with pretrained weights; auto (the default): EfficientNetB0 if its weights can be had, "
        "else EfficientNet-Lite0",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a local checkpoint for the backbone named")
    parser.add_argument(
        "--image-size",
        type=_positive,
        metavar="N",
        help="pixels a side that the networks see (default: 192 on a backbone, 64 at most from scratch)",
    )
    parser.add_argument("--epochs", type=_positive, metavar="N", help="instead of each recipe's own number")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=_seed, metavar="N", default=0, help="of the one run of each strategy (default 0)")
    seeds.add_argument(
        "--seeds",
        type=_seed,
        nargs="+",
        metavar="N",
        help="how many runs of each strategy, or the seed of each",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")


def _add_max_bad(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-bad",
        type=_share,
        metavar="SHARE",
        default=argparse.SUPPRESS,
        help="stop where more of the files cannot be read (default: 1%%)",
    )


def run_compare(*, typed: str, **options: Any) -> None:
    """`headstart compare`."""
    from headstart.experiments.compare import compare
    from headstart.report.screen import print_comparison

    print_comparison(compare(command=typed, **_training(options)))


def run_learning_curve(*, typed: str, **options: Any) -> None:
    """`headstart learning-curve`."""
    from headstart.experiments.learning_curve import learning_curve
    from headstart.report.learning_curve import print_curve

    print_curve(learning_curve(command=typed, **_training(options)))


def _training(options: dict[str, Any]) -> dict[str, Any]:
    """Options as `compare` and `learning_curve` have them: data are loaded when they ask for them."""
    from headstart.data.load import load

    place = options.pop("data")
    own = {key: options.pop(key) for key in ("data_dir", "train_limit", "max_bad") if key in options}
    shared = {key: options[key] for key in ("offline", "image_size")}
    seeds = _seeds(options.pop("seed"), options.pop("seeds"))
    return options | {"data": partial(load, place, **own, **shared), "seed": seeds}


def run_check(*, typed: str, data: str, data_dir: Path | None, offline: bool, json: Path | None) -> None:
    """`headstart check`: what was found on standard output; exit code 1 where a person should look at it."""
    from headstart.data.audit import check
    from headstart.results import runs

    found = check(data, data_dir=data_dir, offline=offline)
    if json is not None:
        runs.write_json(json, found.as_json())
    print("\n".join(found.lines(examples=EXAMPLES)))
    if found.faults:
        sys.exit(FINDINGS)


def run_verify(*, typed: str, folder: Path) -> None:
    """`headstart verify`: what is wrong on standard output, and exit code 1; one line where nothing is."""
    from headstart.results.verification import verify

    findings = verify(folder)
    print("\n".join(findings) or f"{folder}: every file is as it was written, every score follows from its predictions")
    if findings:
        sys.exit(FINDINGS)


def run_show(
    *, typed: str, data: str, data_dir: Path | None, train_limit: int | None, offline: bool, output: Path | None
) -> None:
    """`headstart show`."""
    from headstart.data.load import load
    from headstart.experiments.compare import show

    dataset = load(data, data_dir=data_dir, offline=offline, train_limit=train_limit)
    print(show(dataset, output or Path(f"{dataset.name}.png")))


def run_report(*, typed: str, folder: Path) -> None:
    """`headstart report`."""
    from headstart.report.html import write_report
    from headstart.results.comparison import compare_runs

    comparison = compare_runs(folder)
    comparison.save()
    print(write_report(comparison))


def run_slides(*, typed: str, folder: Path) -> None:
    """`headstart slides`."""
    from headstart.report.slides import write_slides
    from headstart.results.comparison import compare_runs

    print(write_slides(compare_runs(folder)))


def _seeds(seed: int, seeds: list[int] | None) -> list[int]:
    """The seeds that --seed and --seeds say: one number after --seeds says how many there are to be."""
    if seeds is None:
        return [seed]
    return list(range(seeds[0])) if len(seeds) == 1 else seeds


def _size(text: str) -> int | str:
    return text if text == "all" else _positive(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 2
    if share > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 1% or 0.01")
    return share


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m or 1h30m")
    return seconds


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return int(text)


def _said(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code
