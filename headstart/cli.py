"""The command line: parse, call, print. Nothing heavy is imported before a command is known to be well formed."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.arguments import CLEAR, SHOW, make_parser
from headstart.config import configured
from headstart.errors import HeadstartError
from headstart.options import Options
from headstart.runtime.failures import FAILED, ending_in_a_line
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.signals import taking_signals
from headstart.runtime.threads import yield_when_busy

WRITTEN_THERE = "what is made is written there; copy the folder to where it can be"
EXAMPLES = 3  # that are shown of a finding


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. What goes wrong is one line, and an exit code: see `runtime.failures`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with ending_in_a_line(), taking_signals():
        run(arguments)


def run(arguments: Sequence[str], configure: bool = True, **instead: Any) -> None:
    """Run the command that was typed; without one, say what can be typed next. configure: whether a file may add
    options. instead: those that have another value than what was typed."""
    options = vars(make_parser().parse_args(arguments))
    command = options["command"]
    if command is None:
        from headstart.results.recent import next_steps

        print("\n".join(next_steps()))
        return
    if configure and options["config"]:
        arguments, source = configured(arguments, command)
        options = vars(make_parser(source).parse_args(arguments))
    del options["command"], options["config"]
    COMMANDS[command](typed=shlex.join(["headstart", *arguments]), **options | instead)


def run_compare(*, typed: str, data: str, json: bool = False, browse: bool = False, **options: Any) -> None:
    """`headstart compare`."""
    started = time.perf_counter()  # torch is still to be imported
    asked = Options.of({**options, "command": typed})
    yield_when_busy()
    from headstart.experiments.compare import run_comparison
    from headstart.report.screen import print_comparison
    from headstart.results import runs
    from headstart.runtime.browser import open_in_browser

    comparison = run_comparison(data, asked, started)
    _print_json(comparison.as_json()) if json else print_comparison(comparison)
    if browse:
        open_in_browser(comparison.folder / runs.REPORT)


def run_learning_curve(
    *,
    typed: str,
    data: str,
    sizes: list[int | str] | None,
    json: bool = False,
    browse: bool = False,
    **options: Any,
) -> None:
    """`headstart learning-curve`."""
    started = time.perf_counter()  # as above
    asked = Options.of({**options, "command": typed})
    yield_when_busy()
    from headstart.experiments.learning_curve import run_learning_curve
    from headstart.report.learning_curve import print_curve
    from headstart.results import runs
    from headstart.runtime.browser import open_in_browser

    curve = run_learning_curve(data, sizes, asked, started)
    _print_json(curve.as_json()) if json else print_curve(curve)
    if browse:
        open_in_browser(curve.folder / runs.CURVE_FIGURE)


def run_resume(*, typed: str, folder: Path, **instead: Any) -> None:
    """`headstart resume`."""
    from headstart.results.request import typed_for

    arguments, directory = typed_for(folder)
    folder = Path(os.path.relpath(folder.resolve(), directory))
    os.chdir(directory)
    run(arguments, configure=False, output=folder, **instead)  # what a file had added was kept as if typed


def run_cache(*, typed: str, action: str, older_than: float | None, json: bool = False) -> None:
    """`headstart cache`: what lies there, or what was cleared, a line a data set and kind."""
    from headstart.runtime import cache

    if action == SHOW and older_than is not None:
        raise HeadstartError("--older-than says what to clear: headstart cache clear --older-than 30d")
    held = cache.entries()
    if action == CLEAR:
        old = [each for each in held if older_than is None or time.time() - each.used > older_than]
        held = [each for each in old if cache.remove(each)]
        if len(held) < len(old):
            print(f"in use, and kept: {len(old) - len(held)}", file=sys.stderr)
    sizes: Counter[tuple[str, str]] = Counter()
    for each in held:
        sizes[each.collection, each.kind] += each.size_bytes
    if json:
        rows = [{"collection": name, "kind": kind, "bytes": size} for (name, kind), size in sorted(sizes.items())]
        place, limit = str(cache.cache_place()), cache.limit_bytes()
        _print_json({"folder": place, "limit_bytes": limit, "cleared": action == CLEAR, "entries": rows})
        return
    for (collection, kind), size in sorted(sizes.items()):
        print(f"  {collection:32} {kind:12} {size / 1e6:10,.1f} MB")
    done = "cleared from" if action == CLEAR else f"of {cache.limit_bytes() / 1e9:g} GB in"
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


def run_predict(
    *, typed: str, run: Path, photos: list[str], suggest: int | None, json: bool = False, **asked: Any
) -> None:
    """`headstart predict`: exit code 1 where a photo could not be read."""
    yield_when_busy()
    if suggest is not None:
        from headstart.inference import suggest as suggesting
        from headstart.report.sheet import write_sheet

        if json or asked["resume"] or asked["accuracy"] is not None or asked["into"] or asked["copy"]:
            others = "--resume, --accuracy, --sort-into, --copy and --json"
            raise HeadstartError(f"--suggest answers nothing: leave out {others}")
        output = asked["output"] or suggesting.SUGGESTIONS
        suggested = suggesting.suggest(run, photos, suggest, output, asked.get("follow_links", False))
        print(f"{suggested.said}; to look at: {write_sheet(suggested)}")
        return
    from headstart.inference.predict import predict_files
    from headstart.report.screen import print_predicted

    predicted = predict_files(run, photos, **asked)
    _print_json(predicted.as_json()) if json else print_predicted(predicted, asked["output"])
    if predicted.unreadable:
        sys.exit(FAILED)


def run_export(*, typed: str, run: Path, **asked: Any) -> None:
    """`headstart export`."""
    yield_when_busy()
    from headstart.inference.export import export

    print(export(run, **asked))


def run_show(*, typed: str, data: str, output: Path | None, browse: bool = False, **options: Any) -> None:
    """`headstart show`."""
    from headstart.data.load import load
    from headstart.data.summary import summary
    from headstart.experiments.show import show
    from headstart.runtime.console import say

    refuse_unwritable(output or Path(), "name another file with --output")
    dataset = load(data, **options)
    for line in summary(dataset):
        say(line)
    _print_file(show(dataset, output or Path(f"{dataset.name}.png")), browse)


def run_report(*, typed: str, folder: Path, browse: bool = False) -> None:
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
        _print_file(write_figure(curve), browse)
        return
    comparison = compare_runs(folder)
    comparison.save()
    write_card(comparison)
    _print_file(write_report(comparison), browse)


def run_slides(*, typed: str, folder: Path, browse: bool = False) -> None:
    """`headstart slides`."""
    from headstart.report.slides import write_slides
    from headstart.results.comparison import compare_runs

    refuse_unwritable(folder, WRITTEN_THERE)
    _print_file(write_slides(compare_runs(folder)), browse)


def run_push(*, typed: str, folder: Path, repository: str, private: bool, revision: str | None) -> None:
    """`headstart push`: where it is now, on standard output."""
    from headstart.inference.push import push

    print(push(folder, repository, private=private, revision=revision))


def run_demo(*, typed: str, folder: Path, **where: Any) -> None:
    """`headstart demo`."""
    yield_when_busy()
    from headstart.inference.demo import serve

    serve(folder, **where)


def run_completion(*, typed: str, shell: str) -> None:
    """`headstart completion`."""
    from headstart.completion import script

    print(script(shell))


def _print_file(file: Path, browse: bool) -> None:
    """Where what was made lies; shown, where that was asked."""
    from headstart.runtime.browser import open_in_browser

    print(file, flush=True)
    if browse:
        open_in_browser(file)


def _print_json(content: Mapping[str, Any]) -> None:
    """All that goes to standard output; messages are on standard error."""
    from headstart.results.files import json_text

    print(json_text(content), end="")


COMMANDS: dict[str, Callable[..., None]] = {  # name -> what does it
    "compare": run_compare,
    "learning-curve": run_learning_curve,
    "resume": run_resume,
    "check": run_check,
    "verify": run_verify,
    "predict": run_predict,
    "export": run_export,
    "backbones": run_backbones,
    "show": run_show,
    "report": run_report,
    "slides": run_slides,
    "push": run_push,
    "demo": run_demo,
    "cache": run_cache,
    "completion": run_completion,
}
