"""The command line: parse, call, print. Nothing heavy is imported before a command is known to be well formed."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from headstart import __version__
from headstart.errors import HeadstartError
from headstart.options import EXPORTED, MAX_LOSS, ONNX, Options
from headstart.runtime.failures import FAILED, USER_ERROR, ending_in_a_line
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.signals import taking_signals
from headstart.runtime.threads import yield_when_busy
from headstart.values import days, path, share, whole_number

EXIT_CODES = """\
exit codes: 0 done, and nothing found; 1 findings of check and verify, photos that predict could not read, or the
machine cannot go on (disk, memory, rights); 2 what was asked cannot be done (options, images, a folder); 130
interrupted (Ctrl-C), 143 ended (SIGTERM), 138 warned by a batch system and ended (SIGUSR1), what is done is kept; 141
nobody reads the output"""
WRITTEN_THERE = "what is made is written there; copy the folder to where it can be"
IMAGES = 1000  # that `headstart backbones` estimates for
EXAMPLES = 3  # that are shown of a finding


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(USER_ERROR, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What goes wrong is one line, and an exit code: EXIT_CODES."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with ending_in_a_line(), taking_signals():
        run(arguments)


def run(arguments: Sequence[str], **instead: Any) -> None:
    """Run the command that was typed. instead: options that have another value than what was typed."""
    options = vars(make_parser().parse_args(arguments)) | instead
    command = options.pop("command")
    command(typed=shlex.join(["headstart", *arguments]), **options)


def make_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="headstart",
        description="Does a pre-trained network give you a head start on your images, and how much should you retrain?",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"headstart {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)

    compare = commands.add_parser("compare", help="train the strategies, evaluate them alike, say which to take")
    compare.set_defaults(command=run_compare)
    _add_place(compare)
    _add_options(compare)
    _add_json(compare, "print what comparison.json keeps in place of the table")

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
        help="training images, or all; what more would bring takes four sizes (default: those of 100, 300, 1000, 3000, "
        "10000 that there are, and all)",
    )
    _add_options(curve)
    _add_json(curve, "print what curve.json keeps in place of the table")

    resume = commands.add_parser("resume", help="go on with what was stopped: what was typed for it is typed once more")
    resume.set_defaults(command=run_resume)
    resume.add_argument("folder", type=path, metavar="RUN", help="a folder such as runs/cifar10-1, or a learning curve")

    check = commands.add_parser("check", help="look a data set over: exit code 0 where it is clean, 1 with findings")
    check.set_defaults(command=run_check)
    _add_place(check)
    _add_options(check, "data_dir", "group", "follow_links", "offline", "fit")
    _add_json(check, "print all findings, with their examples")
    check.add_argument(
        "--fix",
        type=path,
        metavar="DIR",
        help="write DIR/keep.csv, for compare: what can be read, exact copies once; and left_out.csv, which says why; "
        "your files stay as they are",
    )

    verify = commands.add_parser(
        "verify", help="check a run's files and recompute its numbers: exit code 0 where all is right, 1 with findings"
    )
    verify.set_defaults(command=run_verify)
    verify.add_argument(
        "folder",
        type=path,
        metavar="RUN",
        help="a comparison's folder, such as runs/cifar10-1, one run in it, or that of a learning curve",
    )
    _add_json(verify, "print what was found")

    predict = commands.add_parser("predict", help="classify photos: a row each, on the screen or in a file")
    predict.set_defaults(command=run_predict)
    predict.add_argument(
        "run",
        type=path,
        metavar="RUN",
        help="a comparison's folder, for the classifier it recommends, one run's, or an export, .onnx, .xml or .html",
    )
    predict.add_argument(
        "photos", nargs="+", metavar="PHOTOS", help="files, folders, @FILE with a list of names, - for standard input"
    )
    predict.add_argument(
        "-o", "--output", type=path, metavar="FILE", help="write the answers there: .csv, .jsonl or .parquet"
    )
    predict.add_argument("--resume", action="store_true", help="go on with the answers of a run that was stopped")
    predict.add_argument(
        "--accuracy",
        type=_typed(share),
        metavar="SHARE",
        help="how often answers are to be right, such as 99%%: the others are unsure (chosen by val)",
    )
    predict.add_argument(
        "--sort-into", type=path, dest="into", metavar="DIR", help="make a folder a class there, of links"
    )
    predict.add_argument(
        "--suggest",
        type=_typed(whole_number),
        metavar="N",
        help="instead: which N photos to label next, as a CSV to fill in (default: suggest.csv) and a sheet",
    )
    predict.add_argument("--copy", action="store_true", help="sort copies, not links")
    _add_options(predict, "follow_links")

    export = commands.add_parser(
        "export", help="write a classifier to one file for other programs, kept only if it says what was measured"
    )
    export.set_defaults(command=run_export)
    export.add_argument(
        "run", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    export.add_argument(
        "--to",
        choices=EXPORTED,
        default=ONNX,
        help="an ONNX file (default); OpenVINO's pair, .xml and .bin; a program of torch.export, .pt2; or web: a page "
        "that classifies by itself, .html",
    )
    export.add_argument("--int8", action="store_true", help="the ONNX file in whole numbers of 8 bits: small and quick")
    export.add_argument(
        "--max-loss", default=MAX_LOSS, metavar="POINTS", help=f"of accuracy that it may lose (default {MAX_LOSS})"
    )
    export.add_argument("-o", "--output", type=path, metavar="FILE", help="default: RUN/exports/<candidate>.onnx")
    export.add_argument(
        "--data", metavar="DATA", help="where the images are that it was tested on (default: where they were)"
    )
    _add_options(export, "data_dir", "follow_links", "offline")

    backbones = commands.add_parser("backbones", help="a short list of pre-trained networks: size, licence, pace here")
    backbones.set_defaults(command=run_backbones)
    backbones.add_argument(
        "--images",
        type=_typed(whole_number),
        default=IMAGES,
        metavar="N",
        help=f"estimate the seconds for so many (default {IMAGES:,})",
    )
    _add_options(backbones, "device", "offline")
    _add_json(backbones, "print the rows")

    show = commands.add_parser("show", help="draw samples, class balance and what augmentation does")
    show.set_defaults(command=run_show)
    _add_place(show)
    _add_options(show, "data_dir", "group", "train_limit", "follow_links", "offline", "fit")
    show.add_argument("--output", type=path, metavar="FILE.png", help="default: <data set>.png")

    for name, run, words in (
        ("report", run_report, "make table, figures and report.html again, from the folder alone; or a curve's figure"),
        ("slides", run_slides, "make a presentation of a comparison: slides.pdf, in its folder"),
    ):
        again = commands.add_parser(name, help=words)
        again.set_defaults(command=run)
        again.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")

    push = commands.add_parser("push", help="publish card, weights and exports of a comparison on the Hugging Face hub")
    push.set_defaults(command=run_push)
    push.add_argument("folder", type=path, metavar="RUN", help="a comparison's folder, such as runs/cifar10-1")
    push.add_argument("repository", metavar="USER/NAME", help="where to: it is made where it is not there")
    push.add_argument(
        "--private", action="store_true", help="make it for yourself alone; one that is public is refused"
    )
    push.add_argument("--revision", metavar="BRANCH", help="to this branch, made where it is not there (default: main)")

    demo = commands.add_parser("demo", help="a page to try a classifier on pictures, served here until Ctrl-C")
    demo.set_defaults(command=run_demo)
    demo.add_argument(
        "folder", type=path, metavar="RUN", help="a comparison's folder, for the classifier it recommends, or one run's"
    )
    demo.add_argument("--host", default=argparse.SUPPRESS, help="default: 127.0.0.1, for this machine alone")
    demo.add_argument(
        "--port", type=_port, default=argparse.SUPPRESS, metavar="N", help="default: 7860; 0: one that is free"
    )

    cache = commands.add_parser("cache", help="what is kept between runs, by data set and size")
    cache.set_defaults(command=run_cache)
    cache.add_argument("action", nargs="?", choices=("show", "clear"), default="show", help="default: show")
    cache.add_argument(
        "--older-than", type=_typed(days), metavar="TIME", help="clear only what was not used for so long, such as 30d"
    )
    return parser


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


def run_compare(*, typed: str, data: str, json: bool = False, **options: Any) -> None:
    """`headstart compare`."""
    started = time.perf_counter()  # torch is still to be imported
    asked = Options.of({**options, "command": typed})
    yield_when_busy()
    from headstart.experiments.compare import run_comparison
    from headstart.report.screen import print_comparison

    comparison = run_comparison(data, asked, started)
    _print_json(comparison.as_json()) if json else print_comparison(comparison)


def run_learning_curve(
    *, typed: str, data: str, sizes: list[int | str] | None, json: bool = False, **options: Any
) -> None:
    """`headstart learning-curve`."""
    asked = Options.of({**options, "command": typed})
    yield_when_busy()
    from headstart.experiments.learning_curve import run_learning_curve
    from headstart.report.learning_curve import print_curve

    curve = run_learning_curve(data, sizes, asked)
    _print_json(curve.as_json()) if json else print_curve(curve)


def run_resume(*, typed: str, folder: Path) -> None:
    """`headstart resume`."""
    from headstart.results.request import typed_for

    arguments, directory = typed_for(folder)
    folder = Path(os.path.relpath(folder.resolve(), directory))
    os.chdir(directory)
    run(arguments, output=folder)


def run_cache(*, typed: str, action: str, older_than: float | None) -> None:
    """`headstart cache`: what lies there, or what was cleared, a line a data set and kind."""
    from headstart.runtime import cache

    if action == "show" and older_than is not None:
        raise HeadstartError("--older-than says what to clear: headstart cache clear --older-than 30d")
    held = cache.entries()
    if action == "clear":
        old = [each for each in held if older_than is None or time.time() - each.used > older_than]
        held = [each for each in old if cache.remove(each)]
        if len(held) < len(old):
            print(f"in use, and kept: {len(old) - len(held)}", file=sys.stderr)
    sizes: Counter[tuple[str, str]] = Counter()
    for each in held:
        sizes[each.collection, each.kind] += each.size_bytes
    for (collection, kind), size in sorted(sizes.items()):
        print(f"  {collection:32} {kind:12} {size / 1e6:10,.1f} MB")
    done = "cleared from" if action == "clear" else f"of {cache.limit_bytes() / 1e9:g} GB in"
    print(f"{sum(sizes.values()) / 1e9:.2f} GB {done} {cache.cache_place()}")


def run_backbones(*, typed: str, images: int, json: bool = False, **options: Any) -> None:
    """`headstart backbones`."""
    yield_when_busy()
    from headstart.experiments.shortlist import lines, shortlist

    seen = shortlist(images, **options)
    if json:
        _print_json({"images": images, "backbones": [each.as_json() for each in seen]})
    else:
        print("\n".join(lines(seen, images)))


def run_check(*, typed: str, data: str, fix: Path | None, json: bool = False, **options: Any) -> None:
    """`headstart check`: what was found on standard output; exit code 1 where a person should look at it."""
    from headstart.data import clean
    from headstart.data.audit import check
    from headstart.data.summary import WIDTH

    if fix is not None:
        clean.refuse(data, fix)
    found = check(data, **options)
    if json:
        _print_json(found.as_json())
    else:
        print("\n".join([*found.summary, *found.lines(examples=EXAMPLES, width=WIDTH)]))
        if not found.faults:
            print("nothing wrong was found")
    if fix is not None:
        print(clean.write(data, fix, Options.of(options)), file=sys.stderr if json else sys.stdout)
    if found.faults:
        sys.exit(FAILED)


def run_verify(*, typed: str, folder: Path, json: bool = False) -> None:
    """`headstart verify`: what is wrong on standard output, and exit code 1; one line where nothing is."""
    from headstart.results.verification import verify

    findings = verify(folder)
    if json:
        _print_json({"folder": str(folder), "findings": findings})
    else:
        right = f"{folder}: every file is as it was written, every score follows from its predictions"
        print("\n".join(findings) or right)
    if findings:
        sys.exit(FAILED)


def run_predict(*, typed: str, run: Path, photos: list[str], suggest: int | None, **asked: Any) -> None:
    """`headstart predict`: exit code 1 where a photo could not be read."""
    yield_when_busy()
    if suggest is not None:
        from headstart.inference import suggest as suggesting
        from headstart.report.sheet import write_sheet

        if asked["resume"] or asked["accuracy"] or asked["into"] or asked["copy"]:
            raise HeadstartError("--suggest answers nothing: leave out --resume, --accuracy, --sort-into and --copy")
        output = asked["output"] or suggesting.SUGGESTIONS
        suggested = suggesting.suggest(run, photos, suggest, output, asked.get("follow_links", False))
        print(f"{suggested.said}; to look at: {write_sheet(suggested)}")
        return
    from headstart.inference.predict import predict_files
    from headstart.report.screen import print_predicted

    predicted = predict_files(run, photos, **asked)
    print_predicted(predicted, asked["output"])
    if predicted.unreadable:
        sys.exit(FAILED)


def run_export(*, typed: str, run: Path, **asked: Any) -> None:
    """`headstart export`."""
    yield_when_busy()
    from headstart.inference.export import export

    print(export(run, **asked))


def run_show(*, typed: str, data: str, output: Path | None, **options: Any) -> None:
    """`headstart show`."""
    from headstart.data.load import load
    from headstart.data.summary import summary
    from headstart.experiments.show import show
    from headstart.runtime.console import say

    refuse_unwritable(output or Path(), "name another file with --output")
    dataset = load(data, **options)
    for line in summary(dataset):
        say(line)
    print(show(dataset, output or Path(f"{dataset.name}.png")))


def run_report(*, typed: str, folder: Path) -> None:
    """`headstart report`."""
    from headstart.report.card import write_card
    from headstart.report.html import write_report
    from headstart.report.learning_curve import write_figure
    from headstart.results.comparison import compare_runs
    from headstart.results.learning_curve import read_curve
    from headstart.results.runs import is_curve

    refuse_unwritable(folder, WRITTEN_THERE)
    if is_curve(folder):
        curve = read_curve(folder)
        curve.save()
        print(write_figure(curve))
        return
    comparison = compare_runs(folder)
    comparison.save()
    write_card(comparison)
    print(write_report(comparison))


def run_slides(*, typed: str, folder: Path) -> None:
    """`headstart slides`."""
    from headstart.report.slides import write_slides
    from headstart.results.comparison import compare_runs

    refuse_unwritable(folder, WRITTEN_THERE)
    print(write_slides(compare_runs(folder)))


def run_push(*, typed: str, folder: Path, repository: str, private: bool, revision: str | None) -> None:
    """`headstart push`: where it is now, on standard output."""
    from headstart.inference.push import push

    print(push(folder, repository, private=private, revision=revision))


def run_demo(*, typed: str, folder: Path, **where: Any) -> None:
    """`headstart demo`."""
    yield_when_busy()
    from headstart.inference.demo import serve

    serve(folder, **where)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number up to 65535")
    return int(text)


def _size(text: str) -> int | str:
    return text if text == "all" else _typed(whole_number)(text)


def _print_json(content: Mapping[str, Any]) -> None:
    """All that goes to standard output; messages are on standard error."""
    from headstart.results.files import json_text

    print(json_text(content), end="")
