"""Whether a finished folder still says what its runs gave: its checksums, and every number that follows from others.

Numbers are made anew by the functions that wrote them, and compared as they are written. No model is run: predictions,
measured times and weights are vouched for by their checksums alone.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.checksums import files_of, read_checksums
from headstart.results.comparison import compare_runs
from headstart.results.files import json_text, read_json, sha256
from headstart.results.learning_curve import read_curve
from headstart.results.scores import scores_of
from headstart.runtime.text import shorten, shown

SEED = re.compile(r"(?:(?P<split>.+)-)?seed(?P<seed>\d+)")  # the name of a run's folder; of schema 1, without a split
LONGEST = 60  # letters of a value that is told


def verify(folder: Path) -> list[str]:
    """What is wrong with a comparison's folder, that of one run in it, or a learning curve's: a line a finding, none
    where all is right. Raises HeadstartError for a folder that is none of these, or that a newer headstart wrote."""
    findings: list[str] = []
    try:
        findings.extend(_findings(folder))  # one by one, changed files first: they stay where a later one raises
    except runs.NewerSchemaError:  # a changed file may say that of itself, too
        has_checksums = any(map(runs.is_finished, (folder, folder.resolve().parent.parent)))
        if not findings or not has_checksums:
            raise
    return findings


def _findings(folder: Path) -> Iterator[str]:
    if runs.is_curve(folder):
        yield from changed_files(folder)
        yield from _wrong_in_sizes(folder)
        yield from _wrong_in_curve(folder)
    elif (folder / runs.COMPARISON).exists() or runs.find_runs(folder):
        yield from changed_files(folder)
        for run in runs.find_runs(folder):
            yield from _wrong_in_run(run)
        yield from _wrong_in_exports(folder)
        yield from _wrong_in_comparison(folder)
    elif (folder / runs.METRICS).exists() or (folder / runs.PREDICTIONS).exists():
        run = runs.Run(folder.resolve())
        comparison = run.folder.parent.parent
        yield from changed_files(comparison, f"{run.folder.relative_to(comparison).as_posix()}/")
        yield from _wrong_in_run(run, named=runs.is_finished(comparison))
    else:
        raise HeadstartError(
            f"{shown(folder)} is no run's folder, {runs.why_none(folder)}: name that of a comparison, such as "
            "runs/cifar10-1, of one run in it, or of a learning curve"
        )


def changed_files(folder: Path, below: str = "") -> list[str]:
    """Which files of a folder are not as they were when its checksums were written; only those whose name, from the
    folder on, begins with `below`."""
    try:
        checksums = read_checksums(folder)
    except HeadstartError as error:
        return [str(error)]
    found = set(files_of(folder))
    findings = []
    for name in sorted(found | checksums.keys()):
        if not name.startswith(below):
            continue
        if name not in checksums:
            findings.append(f"{shown(name)} has no line in {runs.CHECKSUMS}: it was not there when all was done")
        elif name not in found:
            findings.append(f"{shown(name)} is missing")
        elif sha256(folder / name) != checksums[name]:
            findings.append(f"{shown(name)} is not as it was written: its SHA-256 differs")
    return findings


def _wrong_in_run(run: runs.Run, named: bool = True) -> list[str]:
    """What a run's config.json and metrics.json say that its other files do not; named: nor the folders that it is in,
    which say nothing of a run that was copied alone."""
    where = f"{run.folder.parent.name}/{run.folder.name}/"
    return [
        *_wrong_in_json(run.folder / runs.CONFIG, where, lambda: _config_of(run) | _named(run, runs.CONFIG, named)),
        *_wrong_in_json(run.folder / runs.METRICS, where, lambda: scores_of(run) | _named(run, runs.METRICS, named)),
    ]


def _named(run: runs.Run, file: str, named: bool) -> dict[str, Any]:
    """What the place of a run says of its candidate, split and seed, as far as a file of its schema names them."""
    candidate, found = run.folder.parent.name, SEED.fullmatch(run.folder.name)
    if not named or found is None:  # that it was renamed, the checksums tell
        return {}
    if found["split"] is None:  # schema 1
        return {"strategy": candidate if file == runs.METRICS else {"name": candidate}, "seed": int(found["seed"])}
    return {"candidate": candidate, "split": found["split"], "seed": int(found["seed"])}


def _config_of(run: runs.Run) -> dict[str, Any]:
    """What of config.json the predictions of a run tell."""
    _, labels, names = run.predictions()
    _, val_labels, _ = run.predictions("val")
    return {"dataset": {"class_names": names, "val": len(val_labels), "test": len(labels)}}


def _wrong_in_comparison(folder: Path) -> list[str]:
    """What comparison.json and comparison.csv say that the runs do not."""
    return _wrong_in_files(folder, runs.COMPARISON, lambda: compare_runs(folder).files)


def _wrong_in_exports(folder: Path) -> Iterator[str]:
    """What the JSON beside exported files says that they, or the weights in the folder, do not."""
    models = {each: sha256(each) for each in sorted(folder.rglob(runs.MODEL))}
    for about in sorted(folder.rglob(f"{runs.EXPORTS}/*.json")):
        file = about.with_suffix("")
        name = file.relative_to(folder).as_posix()
        try:
            said, found = read_json(about), sha256(file)
        except (HeadstartError, OSError):  # of one that is damaged or missing its checksum tells
            continue
        if said.get("sha256") != found:
            yield f"{shown(name)} is not the file that {shown(about.name)} tells of"
        if models and said.get("weights_sha256") not in models.values():
            yield f"{shown(name)} was made of other weights than those that lie here"


def _wrong_in_sizes(folder: Path) -> list[str]:
    """What is wrong with the comparisons of a learning curve."""
    places = {size: runs.folder_of_size(folder, size) for size in runs.finished_sizes(folder)}
    return [f"{size}/{finding}" for size, place in places.items() for finding in verify(place)]


def _wrong_in_curve(folder: Path) -> list[str]:
    """What curve.json and curve.csv say that the comparisons do not."""
    return _wrong_in_files(folder, runs.CURVE, lambda: read_curve(folder).files)


def _wrong_in_files(folder: Path, first: str, again: Callable[[], Mapping[str, str]]) -> list[str]:
    """How files differ from what `again` gives under their names; first: one of them."""
    try:
        expected = again()
    except runs.NewerSchemaError:
        raise
    except Exception as error:  # whatever damaged files make a reader raise is a finding about them
        return [f"{first} cannot be made again: {_said(error)}"]
    findings = []
    for name, text in expected.items():
        if not (folder / name).is_file() or (folder / name).read_bytes() == text.encode("utf-8"):
            continue  # of one that is missing its checksum tells
        if name.endswith(".json"):
            findings += _wrong_in_json(folder / name, "", partial(json.loads, text))
        elif not _holds(folder / name, text):
            findings.append(f"{name} is not what the runs give")
    return findings


def _holds(saved: Path, expected: str) -> bool:
    """Whether a CSV is what a part of the columns of another one is: one of an older headstart has fewer scores."""
    text = saved.read_bytes().decode("utf-8", "replace")
    columns = text.split("\n", 1)[0].split(",")
    known = pd.read_csv(io.StringIO(expected), dtype=str, keep_default_na=False)
    if not set(columns) <= set(known.columns):
        return False
    return text == known[columns].to_csv(index=False)


def _wrong_in_json(path: Path, where: str, recompute: Callable[[], dict[str, Any]]) -> list[str]:
    """What a JSON file says otherwise than `recompute`, and whether it is written as headstart writes."""
    try:
        saved = runs.checked(read_json(path), path.parent)
        differences = list(_differences(saved, json.loads(json_text(recompute())), ""))
        as_written = path.read_bytes() == json_text(saved).encode("utf-8")
    except runs.NewerSchemaError:
        raise
    except Exception as error:  # as above
        return [f"{where}{path.name} cannot be verified: {_said(error)}"]
    if not as_written:
        differences.append("is not in the form in which it was written")
    return [f"{where}{path.name}: {difference}" for difference in differences]


def _differences(saved: Any, expected: Any, key: str) -> Iterator[str]:
    """Where `saved` says otherwise than `expected`: a line each. What only one of them has is not looked at: an older
    headstart knew fewer scores, and that nothing was taken out is what the checksums are for."""
    if isinstance(expected, dict) and isinstance(saved, dict):
        for name in (each for each in expected if each in saved):
            yield from _differences(saved[name], expected[name], f"{key}.{name}" if key else name)
    elif isinstance(expected, list) and isinstance(saved, list) and len(expected) == len(saved):
        for place, values in enumerate(zip(saved, expected, strict=True)):
            yield from _differences(*values, f"{key}[{place}]")
    elif json.dumps(saved) != json.dumps(expected):  # of numbers, the text: 1 is not true, nor 1.0
        yield f"{key} is {_short(saved)}, and follows as {_short(expected)}"


def _short(value: Any) -> str:
    return shorten(shown(json.dumps(value)), LONGEST)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, HeadstartError) else f"{type(error).__name__}: {error}"
