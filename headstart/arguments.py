"""What can be typed: every command and its arguments. Nothing heavy is imported for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from headstart import __version__
from headstart.options import EXPORTED, IMAGES, MAX_LOSS, ONNX, Options
from headstart.parser import Parser, Several, typed
from headstart.values import ALL, days, near, one_of, path, share, whole_number

DESCRIPTION = """\
Does a pre-trained network give you a head start on your images, and how much
should you retrain?"""
EPILOG = """\
exit codes: 0 done, and nothing found; 1 findings of check and verify, photos
that predict could not read, or the machine cannot go on (disk, memory,
rights); 2 what was asked cannot be done (options, images, a folder); 130
interrupted (Ctrl-C), 143 ended (SIGTERM), 138 warned by a batch system and
ended (SIGUSR1), what is done is kept; 141 nobody reads the output

example: headstart compare photos/"""
ESTIMATED = 1000  # that `headstart backbones` estimates for
SHELLS = ("bash", "zsh", "fish")  # that `headstart completion` writes for
CACHE = SHOW, CLEAR = ("show", "clear")  # what can be done with it


class Command(NamedTuple):
    """help: a line of `headstart --help`. example: one that can be typed. add: gives a parser its arguments."""

    help: str
    example: str
    add: Callable[[Parser], None]


class Commands(Parser):
    """The parser of all commands."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuses a command that there is not, with the near one."""
        first = next((each for each in args or () if not each.startswith("-")), None)
        if first is not None and first not in COMMANDS:
            self.error(f"unknown command {first!r}{near(first, COMMANDS)}")
        return super().parse_known_args(args, namespace)

    def of_commands(self) -> dict[str, Parser]:
        """Name of a command -> its parser."""
        (commands,) = self.positionals()
        return dict(commands.choices or {})


def make_parser(source: str = "") -> Commands:
    """All commands and their options. source: the file that complaints are about, where not about what was typed."""
    parser = Commands(
        prog="headstart",
        source=source,
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    parser.add_argument("--no-config", action="store_false", dest="config", help="leave headstart.toml aside")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", parser_class=Parser)
    for name, (words, example, add_arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=words, source=source, epilog=f"example: {example}")
        add_arguments(command)
        command.usage = command.short_usage()
    return parser


def _compare(parser: Parser) -> None:
    _add_place(parser.titled(IMAGES))
    _add_options(parser)
    _add_json(parser, "print comparison.json in place of the table")
    _add_open(parser, "the report")


def _learning_curve(parser: Parser) -> None:
    _add_place(parser.titled(IMAGES))
    parser.titled(IMAGES).add_argument(
        "--sizes", type=_size, nargs="+", metavar="N", help="training images, or all (default: 100, 300 ... all)"
    )
    _add_options(parser)
    _add_json(parser, "print curve.json in place of the table")
    _add_open(parser, "the figure")


def _resume(parser: Parser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a folder such as runs/cifar10-1, or a learning curve")
    _add_json(parser, "print what its file keeps in place of the table")
    _add_open(parser, "the report, or the curve's figure")


def _check(parser: Parser) -> None:
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


def _verify(parser: Parser) -> None:
    parser.add_argument(
        "folder",
        type=path,
        metavar="RUN",
        help="a comparison's folder, such as runs/cifar10-1, one run in it, or that of a learning curve",
    )
    _add_json(parser, "print what was found")


def _predict(parser: Parser) -> None:
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
        type=typed(share),
        metavar="SHARE",
        help="how often answers are to be right, such as 99%%: the others are unsure (chosen by val)",
    )
    parser.add_argument(
        "--sort-into", type=path, dest="into", metavar="DIR", help="make a folder a class there, of links"
    )
    parser.add_argument(
        "--suggest",
        type=typed(whole_number),
        metavar="N",
        help="instead: which N photos to label next, as a CSV to fill in (default: suggest.csv) and a sheet",
    )
    parser.add_argument("--copy", action="store_true", help="sort copies, not links")
    _add_options(parser, "follow_links")
    _add_json(parser, "print every answer")


def _export(parser: Parser) -> None:
    parser.add_argument(
        "run", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    parser.add_argument(
        "--to",
        type=typed(one_of(EXPORTED)),
        choices=EXPORTED,
        default=ONNX,
        metavar="FORM",
        help="onnx: a file (default); openvino: a pair, .xml and .bin; torch: a program of torch.export, .pt2; web: a "
        "page that classifies by itself, .html",
    )
    parser.add_argument("--int8", action="store_true", help="the ONNX file in whole numbers of 8 bits: small and quick")
    parser.add_argument("--max-loss", metavar="POINTS", help=f"of accuracy that --int8 may lose (default {MAX_LOSS})")
    parser.add_argument("-o", "--output", type=path, metavar="FILE", help="default: RUN/exports/<candidate>.onnx")
    parser.add_argument(
        "--data", metavar="DATA", help="where the images are that it was tested on (default: where they were)"
    )
    _add_options(parser, "data_dir", "follow_links", "offline")


def _backbones(parser: Parser) -> None:
    parser.add_argument(
        "--images",
        type=typed(whole_number),
        default=ESTIMATED,
        metavar="N",
        help=f"estimate the seconds for so many (default {ESTIMATED:,})",
    )
    _add_options(parser, "device", "offline")
    _add_json(parser, "print the rows")


def _show(parser: Parser) -> None:
    _add_place(parser)
    _add_options(parser, "data_dir", "group", "train_limit", "follow_links", "offline", "fit")
    parser.add_argument("--output", type=path, metavar="FILE.png", help="default: <data set>.png")
    _add_open(parser, "the picture")


def _again(parser: Parser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")
    _add_open(parser, "what was made")


def _push(parser: Parser) -> None:
    parser.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")
    parser.add_argument("repository", metavar="USER/NAME", help="where to: it is made where it is not there")
    parser.add_argument(
        "--private", action="store_true", help="make it for yourself alone; one that is public is refused"
    )
    parser.add_argument(
        "--revision", metavar="BRANCH", help="to this branch, made where it is not there (default: main)"
    )


def _demo(parser: Parser) -> None:
    parser.add_argument(
        "folder", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    parser.add_argument("--host", default=argparse.SUPPRESS, help="default: 127.0.0.1, for this machine alone")
    parser.add_argument(
        "--port", type=_port, default=argparse.SUPPRESS, metavar="N", help="default: 7860; 0: one that is free"
    )


def _cache(parser: Parser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        type=typed(one_of(CACHE)),
        choices=CACHE,
        default=SHOW,
        metavar="ACTION",
        help="show (default), or clear",
    )
    parser.add_argument(
        "--older-than", type=typed(days), metavar="TIME", help="clear only what was not used for so long, such as 30d"
    )
    _add_json(parser, "print the rows")


def _completion(parser: Parser) -> None:
    parser.add_argument(
        "shell",
        type=typed(one_of(SHELLS)),
        choices=SHELLS,
        metavar="SHELL",
        help=f"one of {', '.join(SHELLS)}",
    )


def _add_place(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "data", nargs="?", default="cifar10", metavar="DATA", help="cifar10 (default), a folder of class folders, a CSV"
    )


def _add_json(parser: Parser, words: str) -> None:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=f"{words}: docs/json.md")


def _add_open(parser: Parser, what: str) -> None:
    parser.add_argument(
        "--open", action="store_true", default=argparse.SUPPRESS, dest="browse", help=f"open {what} in the browser"
    )


def _add_options(parser: Parser, *names: str) -> None:
    """Add these of the fields of `Options`, or all, under their titles; what is not typed is left to their defaults."""
    for each in fields(Options):
        how = dict(each.metadata)
        if how.get("hidden") or (names and each.name not in names):
            continue
        group = parser if names else parser.titled(how["under"])
        flag = f"--{each.name.replace('_', '-')}"
        parser.everywhere.append(flag)
        shared: dict[str, Any] = {"dest": each.name, "default": argparse.SUPPRESS, "help": how["help"]}
        one: dict[str, Any] = {"type": typed(how["read"]), "metavar": how["metavar"]}
        if isinstance(each.default, bool):
            group.add_argument(flag, action="store_true", **shared)
        elif how.get("many"):
            group.add_argument(flag, nargs="+", metavar=how["metavar"], **shared)
            parser.lists[flag] = how.get("choices") or ()
        elif also := how.get("also"):
            either = group.add_mutually_exclusive_group()
            either.add_argument(flag, **one, **shared)
            other, read, words = also
            parser.everywhere.append(other)
            shared |= {"help": words, "action": Several, "const": read}
            either.add_argument(other, nargs="+", metavar=how["metavar"], **shared)
            parser.lists[other] = ()
        else:
            group.add_argument(flag, **one, **shared)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number up to 65535")
    return int(text)


def _size(text: str) -> int | str:
    return text if text == ALL else typed(whole_number)(text)


COMMANDS: dict[str, Command] = {
    "compare": Command(
        "train the strategies, measure them alike, say which to take",
        "headstart compare photos/ --time-limit 10m",
        _compare,
    ),
    "learning-curve": Command(
        "compare on more and more images: what more would bring",
        "headstart learning-curve photos/ --sizes 100 1000 all",
        _learning_curve,
    ),
    "resume": Command("go on with what was stopped", "headstart resume runs/photos-1", _resume),
    "check": Command("look a data set over: exit code 1 with findings", "headstart check photos/ --fix clean", _check),
    "verify": Command("recompute a run's numbers: exit code 1 if others", "headstart verify runs/photos-1", _verify),
    "predict": Command(
        "classify photos: a row each, on the screen or in a file",
        "headstart predict runs/photos-1 new/ -o answers.csv",
        _predict,
    ),
    "export": Command(
        "write a classifier to one file for other programs", "headstart export runs/photos-1 --to web", _export
    ),
    "backbones": Command(
        "a short list of pre-trained networks", "headstart backbones --images 5000 --offline", _backbones
    ),
    "show": Command("draw samples, class balance and augmentation", "headstart show photos/ --open", _show),
    "report": Command("make report.html, or a curve's figure, again", "headstart report runs/photos-1 --open", _again),
    "slides": Command("make a presentation of a comparison, slides.pdf", "headstart slides runs/photos-1", _again),
    "push": Command(
        "publish a comparison on the Hugging Face hub", "headstart push runs/photos-1 jane/photos --private", _push
    ),
    "demo": Command("a page to try a classifier, served until Ctrl-C", "headstart demo runs/photos-1 --port 0", _demo),
    "cache": Command("what is kept between runs", "headstart cache clear --older-than 30d", _cache),
    "completion": Command("print what a shell completes our commands by", "headstart completion bash", _completion),
}
