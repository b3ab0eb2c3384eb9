"""A Comparison as one page that explains itself: `report.html`, with its figures inside and no need of a network.

The page is made of the run folder alone, without data, model or torch. All that depends on the runs is put together
here, as plain values; the template beside this file says where they stand, the script what moves.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from headstart import theme
from headstart.evaluation.examples import choose
from headstart.report import charts, confusion, count, percent, provenance, words
from headstart.report.drawing import colours, markers
from headstart.report.figures import MOST_CLASSES_COUNTED
from headstart.report.lettering import JOINT, numbered
from headstart.report.reading import predictions, runs_of
from headstart.report.tables import (
    DIFFERENCES,
    FORGETTING,
    class_rows,
    difference_rows,
    frequent_mistakes,
    key_numbers,
    probe_rows,
    table_rows,
    tables,
)
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import Comparison
from headstart.results.files import write_text
from headstart.results.pictures import read_pictures
from headstart.results.scores import LEAST_AGREEMENT
from headstart.runtime.text import shorten

REFRESH_SECONDS = 15  # of a page that is written again while the comparison goes on
MOST_CLASSES_OPEN = 20  # a longer table of classes starts folded
FEW = 5  # candidates: of more, what each has of its own is folded but for what is taken


def write_report(comparison: Comparison) -> Path:
    """Write the figures and report.html into the comparison's folder; returns the path of the page."""
    script = resources.files("headstart.report").joinpath("report.js").read_text(encoding="utf-8")
    page = _template("report.html.j2").render(
        comparison=comparison,
        refresh=None if comparison.is_complete else REFRESH_SECONDS,
        so_far=words.so_far(comparison),
        shortened=words.shortened(comparison),
        folded=words.folded(comparison),
        probed=probe_rows(comparison),
        ranked=words.ranked(comparison.probed, comparison.verdict.metric),
        absent=words.absent(comparison),
        ended=_ended(comparison),
        disagreeing=_disagreeing(comparison),
        **_doubts(comparison),
        question=words.QUESTION.format(comparison.dataset["name"]),
        decision=words.decision(comparison),
        cautions=words.CAUTIONS,
        **_looks(comparison),
        **_sureness(comparison),
        **_results(comparison),
        **_images(comparison),
        facts_of=provenance.facts(comparison),
        environment=provenance.environment(comparison),
        commands=provenance.commands(comparison),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    path = _write(comparison.folder, page)
    renew_checksums(comparison.folder, runs.REPORT, runs.FIGURES)
    return path


def write_waiting(folder: Path, name: str, known: str, coming: Sequence[str]) -> Path:
    """Write the page of a comparison on the data set `name` that has no finished run yet: what is known, and what is to
    come."""
    page = _template("waiting.html.j2").render(
        name=name,
        refresh=REFRESH_SECONDS,
        question=words.QUESTION.format(name),
        known=known,
        coming=coming,
        light=theme.LIGHT,
        dark=theme.DARK,
    )
    return _write(folder, page)


def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("headstart.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "shorten": shorten, "breakable": _breakable}
    return environment.get_template(name)


def _breakable(text: str) -> Markup:
    """Text as HTML, where the names of candidates on a backbone, wider than a phone, may break at their joints."""
    return Markup(re.sub(r"\S*@\S+", lambda it: JOINT.sub("<wbr>", it[0]), str(escape(text))))


def _write(folder: Path, page: str) -> Path:
    path = folder / runs.REPORT
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))  # a name may hold half a surrogate pair
    return path


def _ended(comparison: Comparison) -> list[str]:
    """What made runs end before their time, a sentence a run."""
    ended = [(f"{run.candidate}, {run.folder.name}", run.metrics.get("ended")) for run in comparison.runs]
    return [f"{name}: {why}" for name, why in ended if why]


def _disagreeing(comparison: Comparison) -> list[str]:
    """Where a saved network does not say what was measured, a sentence a run. Runs that say whether their scores are
    `is_its_own` are older than the measuring of test in fp32."""
    found = [(run, run.metrics.get("saved_network")) for run in comparison.runs]
    return [
        f"The network of {run.candidate}, seed {run.seed}, as it was saved, gives {count(saved['images'])} "
        f"test images the measured class in {percent(saved['agreement'])} of cases."
        for run, saved in found
        if saved and not saved.get("is_its_own") and saved["agreement"] < LEAST_AGREEMENT
    ]


def _looks(comparison: Comparison) -> dict[str, Any]:
    return {
        "light": theme.LIGHT,
        "dark": theme.DARK,
        "colours": {name: theme.VARIABLE[colour] for name, colour in colours(comparison).items()},
        "shapes": {name: theme.MARKERS.index(marker) for name, marker in markers(comparison).items()},
        "few": FEW,
    }


def _sureness(comparison: Comparison) -> dict[str, Any]:
    return {
        "doubts": words.doubts(comparison),
        "differences": difference_rows(comparison) if comparison.verdict.alternatives else {},
        "difference_titles": DIFFERENCES,
        "about_differences": words.DIFFERENCES,
    }


def _results(comparison: Comparison) -> dict[str, Any]:
    names = colours(comparison)
    has_matrices = len(comparison.dataset["class_names"]) <= MOST_CLASSES_COUNTED
    needs_pictures = comparison.is_complete or not has_matrices  # as files, or in place of matrices
    return {
        "tables": {title: (columns, table_rows(comparison, columns)) for title, columns in tables(comparison).items()},
        "summaries": {name: runs_of(comparison, name)[0].config["strategy"]["summary"] for name in names},
        "key_numbers": key_numbers(comparison),
        "charts": charts.result_charts(comparison),
        "unfreezing": charts.unfreezing_chart(comparison),
        "mixtures": charts.mixtures_chart(comparison),
        "forgetting": (FORGETTING, table_rows(comparison, FORGETTING)),
        "about_forgetting": words.FORGETTING,
        "confusion_pictures": charts.confusion_pictures(comparison) if needs_pictures else {},
        "classes": class_rows(comparison),
        "most_classes_open": MOST_CLASSES_OPEN,
        "numbered": numbered(comparison.dataset["class_names"]),
        "frequent_mistakes": frequent_mistakes(comparison),
        "sizes": words.sizes(comparison),
    }


def _images(comparison: Comparison) -> dict[str, Any]:
    """What shows images: confusion matrices, galleries, and the data itself, as far as the folder has them."""
    pictures = read_pictures(comparison.folder)
    logits, labels = predictions(comparison)
    examples = choose(logits, labels)
    few = len(comparison.dataset["class_names"]) <= MOST_CLASSES_COUNTED
    matrices = confusion.matrices(comparison, examples) if few else []
    matrices.sort(key=lambda it: it.candidate != comparison.recommended)
    kept = {} if pictures is None else pictures.tests
    heats = {} if pictures is None else pictures.heats
    galleries = confusion.galleries(comparison, examples, logits, labels) if kept else {}
    placed = [shot for it in chain.from_iterable(galleries.values()) for shot in it.shots]
    placed += [shot for it in matrices for shot in it.rows[it.shown[0]][it.shown[1]].shots]
    return {
        "matrices": matrices,
        "galleries": galleries,
        "jpeg": {index: charts.data_uri(content, "jpeg") for index, content in kept.items()},
        "heat": {shown: charts.data_uri(content, "jpeg") for shown, content in heats.items()},
        "cells": _cells(matrices, kept, {shot.image for shot in placed}),
        "balance": None if pictures is None else charts.balance_chart(comparison, pictures),
        "samples": [] if pictures is None else _samples(comparison, pictures.samples),
        "data_pictures": charts.data_pictures(comparison) if pictures is None else [],
    }


def _doubts(comparison: Comparison) -> dict[str, Any]:
    """What the audit found, the scores without leaked test images, and labels that may be wrong."""
    audit = runs.read_beside(comparison.folder, runs.AUDIT)
    findings = [] if audit is None else audit["findings"]
    pictures = read_pictures(comparison.folder)
    jpegs = [charts.data_uri(jpeg, "jpeg") for jpeg in pictures.suspects] if pictures else []
    return {
        "findings": sorted(findings, key=lambda finding: not finding["is_fault"]),
        "without_leaks": words.without_leaks(comparison.leaked, comparison.without_leaks),
        "suspects": list(zip(comparison.label_suspects, jpegs, strict=False)),
    }


def _cells(matrices: Iterable[confusion.Matrix], kept: Mapping[int, bytes], placed: Collection[int]) -> dict[str, Any]:
    """What the script shows of a confusion cell: candidate -> "true,taken" -> images with words; and those images, as
    far as the page has not placed them elsewhere."""
    shots: dict[str, dict[str, list[tuple[int, str]]]] = {
        matrix.candidate: {
            f"{true},{taken}": [(shot.image, ", ".join(shot.lines)) for shot in cell.shots if shot.image in kept]
            for true, row in enumerate(matrix.rows)
            for taken, cell in enumerate(row)
            if cell.shots
        }
        for matrix in matrices
    }
    shown = {image for cells in shots.values() for cell in cells.values() for image, _ in cell}
    return {
        "shots": shots,
        "jpegs": {image: base64.b64encode(kept[image]).decode("ascii") for image in sorted(shown.difference(placed))},
    }


def _samples(comparison: Comparison, samples: Iterable[tuple[int, bytes]]) -> list[tuple[str, list[str]]]:
    """(class name, its small training images), class by class; two classes may have one name."""
    found: dict[int, list[str]] = {}
    for label, jpeg in samples:
        found.setdefault(label, []).append(charts.data_uri(jpeg, "jpeg"))
    return [(comparison.dataset["class_names"][label], sources) for label, sources in found.items()]
