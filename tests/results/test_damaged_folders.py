"""A run folder is something that people move, rename, thin out, copy together: every command works on it, or says in
one line what is missing and what to do.

A new case is a row: of SHAPES, what became of a folder, or of HOW, what became of one of its FILES.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_curves import write_curve

import headstart as hs
from headstart.cli import main
from headstart.report import drawing
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.files import read_json, write_json
from headstart.results.learning_curve import read_curve
from headstart.runtime.failures import ending_in_a_line

RUN = "base-cnn/holdout-seed0"
ASKED = ["--strategies", "base-cnn", "--epochs", "1", "--seeds", "2", "--device", "cpu"]

COMMANDS: dict[str, Callable[[Path], object]] = {
    "report": lambda folder: main(["report", str(folder)]),
    "slides": lambda folder: main(["slides", str(folder)]),
    "verify": lambda folder: main(["verify", str(folder)]),
    "compare": lambda folder: main(["compare", "photos", *ASKED, "--output", str(folder)]),
    "learning-curve": lambda folder: main(
        ["learning-curve", "photos", "--sizes", "30", "all", "--output", str(folder)]
    ),
    "check": lambda folder: main(["check", str(folder)]),
    "show": lambda folder: main(["show", str(folder), "--output", str(folder.parent / "shown.png")]),
    "cache": lambda folder: main(["cache"]),
    "Classifier.load": hs.Classifier.load,
    "compare_runs": compare_runs,
    "read_curve": read_curve,
}


def outcome(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, and its line; it is one, and no mistake of ours."""
    capsys.readouterr()
    try:
        with ending_in_a_line():
            COMMANDS[command](folder)
        code = 0
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert code in (0, 1, 2)
    assert "Traceback" not in captured.out + captured.err
    lines = [line for line in captured.err.splitlines() if line.startswith("headstart: ")]
    assert len(lines) == (code == 2 or (code == 1 and not captured.out)), captured.err
    assert not any("mistake" in line for line in lines), lines
    return code, captured.out if code == 1 else "".join(lines)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """What is drawn is not looked at."""
    monkeypatch.setattr(drawing, "DPI", 20)


@pytest.fixture
def loads(monkeypatch, tiny):
    """What is trained on, where something is."""
    monkeypatch.setattr("headstart.experiments.compare.load", lambda data, **options: tiny)


def moved(folder: Path) -> Path:
    return folder.rename(folder.parent / "moved to über there")


def a_run_alone(folder: Path) -> Path:
    return (folder / RUN).rename(folder.parent / "only-this")


def candidates_renamed(folder: Path) -> Path:
    (folder / "base-cnn").rename(folder / "my favourite")
    (folder / "my favourite" / "holdout-seed1").rename(folder / "my favourite" / "second")
    return folder


def thinned(*names: str) -> Callable[[Path], Path]:
    """Without all files that match."""

    def thin(folder: Path) -> Path:
        for name in names:
            for path in list(folder.rglob(name)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    return thin


def several(folder: Path) -> Path:
    shutil.copytree(folder, folder.parent / "all" / "tiny-2")
    folder.rename(folder.parent / "all" / "tiny-1")
    return folder.parent / "all"


def copied_within(folder: Path) -> Path:
    shutil.copytree(folder / RUN, folder / f"{RUN} (copy)")
    return folder


def merged(folder: Path) -> Path:
    """With a run of a comparison on other data."""
    place = shutil.copytree(folder / RUN, folder / "deep-cnn" / "holdout-seed0")
    config = read_json(place / runs.CONFIG)
    write_json(
        place / runs.CONFIG, config | {"candidate": "deep-cnn", "dataset": config["dataset"] | {"name": "other"}}
    )
    return folder


def newer(folder: Path) -> Path:
    write_json(folder / RUN / runs.CONFIG, read_json(folder / RUN / runs.CONFIG) | {"schema": 99})
    return folder


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def a_file(folder: Path) -> Path:
    return folder / runs.REPORT


def a_curve(folder: Path) -> Path:
    curve = write_curve(folder.parent / "curve")
    read_curve(curve).save()
    return curve


def a_curve_of_one_size(folder: Path) -> Path:
    curve = a_curve(folder)
    for size in (300, 1000, 3000):
        shutil.rmtree(curve / str(size))
    return curve


def begun(folder: Path) -> Path:
    for path in folder.iterdir():
        if path.name != runs.REQUEST:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


WORKS = ("report", "slides", "verify", "compare", "compare_runs", "Classifier.load")  # on a comparison
READ = ("report", "slides", "compare_runs")
SHAPES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...], str]] = {  # what works, and what the others say
    "as it was": (lambda folder: folder, WORKS, ""),
    "moved and renamed": (moved, WORKS, ""),
    "a run alone": (a_run_alone, ("Classifier.load",), "it is one run without its comparison"),
    "one run in its comparison": (lambda folder: folder / RUN, ("Classifier.load", "verify"), "name its comparison, "),
    "one candidate": (lambda folder: folder / "base-cnn", (), "it holds runs of one candidate: name the folder above"),
    "candidates renamed": (candidates_renamed, READ, ""),
    "without pictures": (thinned("*.png", runs.EXAMPLES, runs.REPORT), READ, ""),
    "without what follows from runs": (thinned("comparison.*"), READ, ""),
    "without what was asked": (thinned(runs.REQUEST, runs.AUDIT, runs.TRIVIAL), READ, "is not an empty folder"),
    "without checksums and weights": (thinned(runs.CHECKSUMS, runs.MODEL), (), f"{runs.MODEL} is missing"),
    "without a run": (thinned("holdout-seed1"), (*READ, "compare"), ""),
    "several comparisons": (several, (), "it holds 2 comparisons: name one, such as"),
    "a run copied within": (copied_within, (), "are both base-cnn on holdout with seed 0: take one of them out"),
    "runs of two data sets": (merged, (), "were not tested on the same data"),
    "of a newer headstart": (newer, (), "newer headstart (schema 99"),
    "empty": (emptied, ("compare",), "it is empty"),
    "begun": (begun, ("compare",), "none was finished; the same with --output"),
    "a file": (a_file, (), "it is a file"),
    "nothing": (lambda folder: folder / "none", ("compare",), "there is no such folder"),
    "a learning curve": (a_curve, ("report", "read_curve"), "it is a learning curve: name one of its sizes"),
    "a curve of one size": (a_curve_of_one_size, (), "learning curve"),
}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "learning-curve"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("loads")
def test_every_command_works_on_whatever_became_of_a_folder_or_says_why_not(
    shape, command, folder, capsys, monkeypatch
):
    change, works, said = SHAPES[shape]
    place = change(folder)
    if command == "cache":
        monkeypatch.setenv("HEADSTART_CACHE", str(place))
    code, line = outcome(command, place, capsys)
    if command in works or command == "cache":
        assert code == 0, line
    elif command in ("slides", "compare_runs") and code:
        assert said in line or runs.MODEL in said


@pytest.mark.parametrize("shape", ["as it was", "empty", "a file", "of a newer headstart", "without what was asked"])
@pytest.mark.usefixtures("loads")
def test_a_learning_curve_goes_on_in_a_curves_folder_alone(shape, folder, capsys, monkeypatch):
    monkeypatch.setattr("headstart.experiments.learning_curve.find_backbones", lambda *asked: pytest.fail("too late"))
    place = SHAPES[shape][0](folder)
    if shape != "empty":
        assert outcome("learning-curve", place, capsys)[0] == 2


OF_RUN = (runs.CONFIG, runs.METRICS, runs.PREDICTIONS, runs.HISTORY, runs.MODEL, runs.ENVIRONMENT, runs.NOVELTY)
BESIDE = (runs.REQUEST, runs.COMPARISON, runs.AUDIT, runs.TRIVIAL, runs.EXAMPLES, runs.CHECKSUMS)
FILES = (*(f"{RUN}/{name}" for name in OF_RUN), *BESIDE)
HOW: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "a list": lambda path: path.write_bytes(b"[1, 2]\n"),
    "nothing in it": lambda path: path.write_bytes(b"{}\n"),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00" * 40),
    "too deep": lambda path: path.write_bytes(b"[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_or_missing_file_is_named_in_one_line(file, how, folder, capsys):
    HOW[how](folder / file)
    reports = ("report",) if how in ("gone", "nothing in it") else ()  # a second each, where it can be made
    for command in ("verify", "compare_runs", "Classifier.load", *reports):
        code, line = outcome(command, folder / RUN if command == "Classifier.load" else folder, capsys)
        if code == 2 and not (file.endswith(runs.METRICS) and how == "gone"):
            assert Path(file).name in line, f"{command}: {line}"
        if command == "verify" and how != "a folder":
            assert code == 1, line
