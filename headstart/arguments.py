"""What can be typed: every command and its arguments. Nothing heavy is imported for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NoReturn

from headstart import __version__
from headstart.options import EXPORTED, MAX_LOSS, ONNX, Options
from headstart.runtime.failures import USER_ERROR
from headstart.values import days, path, share, whole_number

EXIT_CODES = """\
exit codes: 0 done, and nothing found; 1 findings of check and verify, photos that predict could not read, or the
machine cannot go on (disk, memory, rights); 2 what was asked cannot be done (options, images, a folder); 130
interrupted (Ctrl-C), 143 ended (SIGTERM), 138 warned by a batch system and ended (SIGUSR1), what is done is kept; 141
nobody reads the output"""
IMAGES = 1000  # that `headstart backbones` estimates for


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(USER_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="headstart",
        description="Does a pre-trained network give you a head start on your images, and how much should you retrain?",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=Parser)
    for name, (words, add_arguments) in COMMANDS.items():
        add_arguments(commands.add_parser(name, help=words))
    return parser


def _compare(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    _add_options(parser)
    _add_json(parser, "print what comparison.json keeps in place of the table")


def _learning_curve(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    parser.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        metavar="N",
        help="training images, or all; what more would bring takes four sizes (default: those of 100, 300, 1000, 3000, "
        "10000 that there are, and all)",
    )
    _add_options(parser)
    _add_json(parser, "print what curve.json keeps in place of the table")


def _resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a folder such as runs/cifar10-1, or a learning curve")


def _check(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    _add_options(parser, "data_dir", "group", "follow_links", "offline", "fit")
    _add_json(parser, "print all findings, with their examples")
    parser.add_argument(
        "--fix",
        type=path,
        metavar="DIR",
        help="write DIR/keep.csv, for compare: what can be read, exact copies once; and left_out.csv, which says why; "
        "your files stay as they are",
    )


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=path,
        metavar="RUN",
        help="a comparison's folder, such as runs/cifar10-1, one run in it, or that of a learning curve",
    )
    _add_json(parser, "print what was found")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=path,
        metavar="RUN",
        help="a comparison's folder, for the classifier it recommends, one run's, or an export, .onnx, .xml or .html",
    )
    parser.add_argument(
        "photos", nargs="+", metavar="PHOTOS", help="files, folders, @FILE with a list of names, - for standard input"
    )
    parser.add_argument(
        "-o", "--output", type=path, metavar="FILE", help="write the answers there: .csv, .jsonl or .parquet"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the answers of a run that was stopped")
    parser.add_argument(
        "--accuracy",
        type=_typed(share),
        metavar="SHARE",
        help="how often answers are to be right, such as 99%%: the others are unsure (chosen by val)",
    )
    parser.add_argument(
        "--sort-into", type=path, dest="into", metavar="DIR", help="make a folder a class there, of links"
    )
    parser.add_argument(
        "--suggest",
        type=_typed(whole_number),
        metavar="N",
        help="instead: which N photos to label next, as a CSV to fill in (default: suggest.csv) and a sheet",
    )
    parser.add_argument("--copy", action="store_true", help="sort copies, not links")
    _add_options(parser, "follow_links")


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    parser.add_argument(
        "--to",
        choices=EXPORTED,
        default=ONNX,
        help="an ONNX file (default); OpenVINO's pair, .xml and .bin; a program of torch.export, .pt2; or web: a page "
        "that classifies by itself, .html",
    )
    parser.add_argument("--int8", action="store_true", help="the ONNX file in whole numbers of 8 bits: small and quick")
    parser.add_argument(
        "--max-loss", default=MAX_LOSS, metavar="POINTS", help=f"of accuracy that it may lose (default {MAX_LOSS})"
    )
    parser.add_argument("-o", "--output", type=path, metavar="FILE", help="default: RUN/exports/<candidate>.onnx")
    parser.add_argument(
        "--data", metavar="DATA", help="where the images are that it was tested on (default: where they were)"
    )
    _add_options(parser, "data_dir", "follow_links", "offline")


def _backbones(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=_typed(whole_number),
        default=IMAGES,
        metavar="N",
        help=f"estimate the seconds for so many (default {IMAGES:,})",
    )
    _add_options(parser, "device", "offline")
    _add_json(parser, "print the rows")


def _show(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    _add_options(parser, "data_dir", "group", "train_limit", "follow_links", "offline", "fit")
    parser.add_argument("--output", type=path, metavar="FILE.png", help="default: <data set>.png")


def _again(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")


def _push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")
    parser.add_argument("repository", metavar="USER/NAME", help="where to: it is made where it is not there")
    parser.add_argument(
        "--private", action="store_true", help="make it for yourself alone; one that is public is refused"
    )
    parser.add_argument(
        "--revision", metavar="BRANCH", help="to this branch, made where it is not there (default: main)"
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    parser.add_argument("--host", default=argparse.SUPPRESS, help="default: 127.0.0.1, for this machine alone")
    parser.add_argument(
        "--port", type=_port, default=argparse.SUPPRESS, metavar="N", help="default: 7860; 0: one that is free"
    )


def _cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("show", "clear"), default="show", help="default: show")
    parser.add_argument(
        "--older-than", type=_typed(days), metavar="TIME", help="clear only what was not used for so long, such as 30d"
    )


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="?",
        default="cifar10",
        metavar="DATA",
        help="cifar10 (default), a folder (<class>/... or {train,val,test}/<class>/...) or a CSV (path,label[,split])",
    )


def _add_json(parser: argparse.ArgumentParser, words: str) -> None:
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help=f"{words}, as JSON: docs/json.md"
    )


def _add_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add these of the fields of `Options`, or all; what is not typed is left to their defaults."""
    for each in fields(Options):
        how = dict(each.metadata)
        if how.get("hidden") or (names and each.name not in names):
            continue
        flag = f"--{each.name.replace('_', '-')}"
        shared: dict[str, Any] = {"dest": each.name, "default": argparse.SUPPRESS, "help": how["help"]}
        if isinstance(each.default, bool):
            parser.add_argument(flag, action="store_true", **shared)
        elif how.get("many"):
            parser.add_argument(flag, nargs="+", metavar=how["metavar"], **shared)
        elif also := how.get("also"):
            either = parser.add_mutually_exclusive_group()
            either.add_argument(flag, type=_typed(how["read"]), metavar=how["metavar"], **shared)
            other, read, words = also
            shared |= {"help": words, "action": _Several, "const": read}
            either.add_argument(other, nargs="+", metavar=how["metavar"], **shared)
        elif choices := how.get("choices"):
            parser.add_argument(flag, choices=choices, **shared)
        else:
            parser.add_argument(flag, type=_typed(how["read"]), metavar=how["metavar"], **shared)


class _Several(argparse.Action):
    """Reads all that follows a flag at once, by `const`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        try:
            setattr(namespace, self.dest, self.const(values))
        except ValueError as error:
            raise argparse.ArgumentError(self, f"{' '.join(values)!r} {error}") from None


def _typed(read: Callable[[Any], Any]) -> Callable[[str], Any]:
    """What reads an option, as argparse wants it."""

    def typed(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from None

    return typed


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number up to 65535")
    return int(text)


def _size(text: str) -> int | str:
    return text if text == "all" else _typed(whole_number)(text)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {  # name -> what it does, its arguments
    "compare": ("train the strategies, evaluate them alike, say which to take", _compare),
    "learning-curve": (
        "compare on more and more training images: what more would bring, who catches up when",
        _learning_curve,
    ),
    "resume": ("go on with what was stopped: what was typed for it is typed once more", _resume),
    "check": ("look a data set over: exit code 0 where it is clean, 1 with findings", _check),
    "verify": (
        "check a run's files and recompute its numbers: exit code 0 where all is right, 1 with findings",
        _verify,
    ),
    "predict": ("classify photos: a row each, on the screen or in a file", _predict),
    "export": ("write a classifier to one file for other programs, kept only if it says what was measured", _export),
    "backbones": ("a short list of pre-trained networks: size, licence, pace here", _backbones),
    "show": ("draw samples, class balance and what augmentation does", _show),
    "report": ("make table, figures and report.html again, from the folder alone; or a curve's figure", _again),
    "slides": ("make a presentation of a comparison: slides.pdf, in its folder", _again),
    "push": ("publish card, weights and exports of a comparison on the Hugging Face hub", _push),
    "demo": ("a page to try a classifier on pictures, served here until Ctrl-C", _demo),
    "cache": ("what is kept between runs, by data set and size", _cache),
}
