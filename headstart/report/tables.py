"""The report's tables as plain values: which number stands where, how it is written and which one is the best."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from headstart.evaluation.scores import COST, METRICS, QUALITY, SCORES, shown_in
from headstart.report import (
    NOT_MEASURED,
    WRITERS,
    count,
    decimal,
    duration,
    megabytes,
    milliseconds,
    percent,
    reading,
    short_count,
)
from headstart.report.reading import confusion_matrix, means_of, mistakes
from headstart.results.comparison import Comparison

MOST_MISTAKES = 8
NOWHERE = -1.0  # where a table is sorted by it, what is no number lies below all numbers


@dataclass(frozen=True)
class Column:
    """One column of the table: the key of a row that it shows, how it is written and which end of it is better."""

    key: str
    title: str
    write: Callable[[float], str]
    better: Callable[..., float] | None
    meaning: str

    @property
    def lower_is_better(self) -> bool:
        """Whether the table, sorted by this column, begins with the lowest."""
        return self.better is min


BETTER: dict[str, Callable[..., float] | None] = {"higher": max, "lower": min, "": None}


def columns_in(place: str) -> tuple[Column, ...]:
    """The scores that are shown there, as columns."""
    return tuple(
        Column(score.key, score.title, WRITERS[score.written], BETTER[score.better], score.meaning)
        for score in shown_in(place)
    )


def tables(comparison: Comparison) -> dict[str, tuple[Column, ...]]:
    """Title -> the columns of a table, without scores that mean nothing of this data (`Score.formula` gives None)."""
    whole = {"How good they are, on test": columns_in(QUALITY), "What they cost": columns_in(COST)}
    means = means_of(comparison).values()

    def means_something(column: Column) -> bool:
        return SCORES[column.key].formula is None or not all(pd.isna(row[column.key]) for row in means)

    return {title: tuple(filter(means_something, columns)) for title, columns in whole.items()}


def probe_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Of several backbones each, best first: its name, its score on val, how far it is behind the last that was kept,
    and what became of it."""
    return [
        (each.backbone, percent(each.score), each.lag or NOT_MEASURED, "retrained" if each.is_kept else "dropped")
        for each in comparison.probed
    ]


FORGETTING = (  # of those that start pre-trained
    Column("accuracy", "Accuracy", percent, max, "share of the test images classified rightly"),
    Column("agreement", "Old head agrees", percent, None, "share of images given the same first class as before"),
    Column("divergence", "KL", decimal, None, "mean divergence of what the old head says from before, in nats"),
    Column(
        "weight_distance", "Weights moved", percent, None, "distance from the old weights, as a share of their length"
    ),
    Column("cka", "CKA, final features", decimal, None, "how alike old and new features are: 1 is the same space"),
)


@dataclass(frozen=True)
class Cell:
    """One value as the table shows it, with a remark in small type; `value` is what the table is sorted by."""

    text: str
    remark: str = ""
    best: bool = False
    value: float = 0.0


def table_rows(comparison: Comparison, columns: Sequence[Column]) -> dict[str, list[Cell]]:
    """Candidate -> its cells, one a column; the best of a column are marked, as far as the eye can tell. A candidate
    that was not measured so, its forgetting where nothing was pre-trained, has no row."""
    measured = {name: {**row, **comparison.forgetting.get(name, {})} for name, row in means_of(comparison).items()}
    means = {name: row for name, row in measured.items() if all(column.key in row for column in columns)}
    rows: dict[str, list[Cell]] = {name: [] for name in means}
    for column in columns:
        texts = {name: column.write(row[column.key]) for name, row in means.items()}
        known = [row[column.key] for row in means.values() if not pd.isna(row[column.key])]
        best = column.write(column.better(known)) if column.better and known else None
        for name, text in texts.items():
            number = means[name][column.key]
            value = NOWHERE if pd.isna(number) else float(number)
            remark = _remark(column.key, means[name], comparison)
            rows[name].append(Cell(text, remark, _stands_out(text, best, texts.values()), value))
    return rows


def _stands_out(text: str, best: str | None, texts: Collection[str]) -> bool:
    """Whether a value is the best, and not all are."""
    return text == best and len(set(texts)) > 1


def _remark(key: str, row: Mapping[str, Any], comparison: Comparison) -> str:
    """What stands below a value, in small type."""
    if key == "accuracy" and row["runs"] > 1:
        return f"± {percent(row['accuracy_std'])} over {row['runs']:.0f} {comparison.repeats}"
    if key == "fit_seconds" and row["frozen_seconds"] > 0:
        return f"{duration(row['frozen_seconds'])} of it frozen pass"
    return ""


DIFFERENCES = ("Score", "Difference", "p", "So it is")  # the columns of `difference_rows`
RELATIONS = {
    **{"better": "surely better", "worse": "surely worse"},
    **{"tie": "equal within {} points", "open": "not told apart"},
}
SMALLEST_P = 0.001  # that is written


def difference_rows(comparison: Comparison) -> dict[str, list[Cell]]:
    """Candidate -> by the metric that decided: its score with its interval, how far from that of what is recommended,
    the p-value of that, and what follows; the recommended one first, then the best."""
    verdict = comparison.verdict
    key = METRICS[verdict.metric]
    rows = {comparison.recommended: [_with_interval(comparison, comparison.recommended, key), *[Cell("")] * 2]}
    rows[comparison.recommended].append(Cell("taken"))
    for each in verdict.alternatives:
        away = each.difference.turned()
        p = f"< {SMALLEST_P}" if away.p_value < SMALLEST_P else decimal(away.p_value)
        gone = comparison.dropped.get(each.strategy, 0)
        rows[each.strategy] = [
            _with_interval(comparison, each.strategy, key),
            Cell(_points(away.mean), f"{_points(away.low)} to {_points(away.high)}"),
            Cell(p),
            Cell(
                RELATIONS[each.relation].format(f"{100 * verdict.margin:g}"),
                f"given up after {gone} fold{'s' * (gone > 1)}" if gone else "",
            ),
        ]
    return rows


def _with_interval(comparison: Comparison, name: str, key: str) -> Cell:
    found = comparison.summary[name][key]
    return Cell(percent(found["mean"]), f"{100 * found['low']:.1f} to {100 * found['high']:.1f}")


def _points(share: float) -> str:
    """0.0168 -> '+1.68', and a true minus before what is below."""
    return f"{100 * share:+.2f}".replace("-", "\N{MINUS SIGN}")


def key_numbers(comparison: Comparison) -> dict[str, Cell]:
    """What a reader wants to know first of the recommended candidate."""
    row = means_of(comparison)[comparison.recommended]
    share = row["trainable_parameters"] / row["parameters"]
    trained = Cell(percent(share, 0 if share >= 0.1 else 1), f"of {short_count(row['parameters'])}")
    return {
        "accuracy on test": Cell(percent(row["accuracy"]), _remark("accuracy", row, comparison)),
        "time to fit": Cell(duration(row["fit_seconds"]), _remark("fit_seconds", row, comparison)),
        "of the parameters trained": trained,
        "an image": Cell(milliseconds(row["latency_ms"]), f"{megabytes(row['size_mb'])} on disk"),
    }


def class_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a class: its name, its test images and a cell of scores for each candidate, means over its seeds."""
    scores, support = reading.class_scores(comparison), reading.class_support(comparison)
    return [
        {
            "name": class_name,
            "support": support[index],
            "cells": _class_cells({name: {key: each[key][index] for key in each} for name, each in scores.items()}),
        }
        for index, class_name in enumerate(comparison.dataset["class_names"])
    ]


def _class_cells(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Cell]:
    """Candidate -> F1 of one class, with precision and recall in small type."""
    texts = {name: percent(score["f1"], 1) for name, score in scores.items()}
    best = percent(max(score["f1"] for score in scores.values()), 1)
    return {
        name: Cell(
            texts[name],
            f"P {percent(score['precision'], 1)}, R {percent(score['recall'], 1)}",
            _stands_out(texts[name], best, texts.values()),
            float(score["f1"]),
        )
        for name, score in scores.items()
    }


def frequent_mistakes(comparison: Comparison) -> list[dict[str, str]]:
    """What the recommended candidate mistakes most often."""
    matrix, names = confusion_matrix(comparison, comparison.recommended), comparison.dataset["class_names"]
    return [
        {
            "true": names[true],
            "taken": names[taken],
            "count": f"{count(times)} of {count(matrix[true].sum())}",
            "share": percent(times / matrix[true].sum(), 1),
        }
        for true, taken, times in mistakes(matrix, MOST_MISTAKES)
    ]
