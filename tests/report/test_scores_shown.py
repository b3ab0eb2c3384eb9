from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from layout import drawn_texts, misplaced
from small_runs import make_dataset

from headstart.evaluation.scores import COST, FIGURE, QUALITY, SCORES, SCREEN, Predictions, Score, shown_in
from headstart.report import NOT_MEASURED, figures, percent
from headstart.report.drawing import NARROW
from headstart.report.html import write_report
from headstart.report.screen import print_comparison
from headstart.report.slides import slides
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.files import write_json
from headstart.results.scores import scores_of
from headstart.results.verification import verify


def test_each_file_of_a_run_is_read_once_for_all_that_is_made_of_a_comparison(
    make_comparison: Callable, monkeypatch: pytest.MonkeyPatch
):
    folder = make_comparison(("base-cnn", "frozen"), seeds=(0, 1))[0].folder
    read: Counter[str] = Counter()
    read_json = runs.read_json
    monkeypatch.setattr(runs, "read_json", lambda path, *more: read.update([path.name]) or read_json(path, *more))
    monkeypatch.setattr(np, "load", count_calls(np.load, read, runs.PREDICTIONS))
    monkeypatch.setattr(pd, "read_csv", count_calls(pd.read_csv, read, runs.HISTORY))
    comparison = compare_runs(folder)
    comparison.save()
    write_report(comparison)
    print_comparison(comparison)
    slides(comparison)
    of_runs = (runs.CONFIG, runs.METRICS, runs.PREDICTIONS, runs.HISTORY)
    assert {name: read[name] for name in of_runs} == dict.fromkeys(of_runs, 4)


def count_calls(call: Callable, counter: Counter[str], name: str) -> Callable:
    def counted(*args: Any, **kwargs: Any) -> Any:
        counter.update([name])
        return call(*args, **kwargs)

    return counted


def finish(comparison: Comparison) -> None:
    """Make a folder what `compare` leaves: with weights, scores that follow from the predictions, and checksums."""
    for run in comparison.runs:
        run.model.write_bytes(b"weights")
        write_json(run.folder / runs.METRICS, run.metrics | scores_of(run))
    compare_runs(comparison.folder).save()
    write_checksums(comparison.folder)
    assert verify(comparison.folder) == []


def among_the_two(found: Predictions) -> np.ndarray:
    return (np.argsort(found.logits, axis=1)[:, -2:] == found.labels[:, None]).any(axis=1)


def among_the_two_likeliest(found: Predictions) -> float:
    return float(among_the_two(found).mean())


MORE_SCORES = (
    Score(
        *("top_2", "Top-2 accuracy", "share of images whose class is among the two likeliest", "percent", "higher"),
        among_the_two_likeliest,
        lambda found: among_the_two(found).astype(float),
        shown=(QUALITY, FIGURE, SCREEN),
        short="top 2",
    ),
    Score("watts", "Power", "what the machine draws", "decimal", "lower", shown=(COST, SCREEN), short="watts"),
)


def test_a_score_is_one_row_of_the_table_of_scores(make_comparison: Callable, monkeypatch: pytest.MonkeyPatch, capsys):
    folder = make_comparison(("base-cnn", "frozen"), dataset=make_dataset(per_class=20))[0].folder
    finish(compare_runs(folder))
    for score in MORE_SCORES:  # the runs were made before they were there
        monkeypatch.setitem(SCORES, score.key, score)
    later = compare_runs(folder)
    named = {row["candidate"]: row["top_2"] for row in later.rows}
    assert named == {run.candidate: pytest.approx(scores_of(run)["top_2"]) for run in later.runs}
    assert [row["watts"] for row in later.rows] == [None, None]
    assert verify(folder) == []  # they are not missed
    later.save()
    assert {"top_2", "watts"} < set((folder / runs.TABLE).read_text().splitlines()[0].split(","))
    told = {name: (percent(value), later.summary[name]["top_2"]) for name, value in named.items()}
    text = write_report(later).read_text("utf-8")
    assert verify(folder) == []
    print_comparison(later)
    screen = capsys.readouterr().out
    on_slides = [text for slide in slides(later) for text, _ in drawn_texts(slide)]
    for title, short in (("Top-2 accuracy", "top 2"), ("Power", "watts")):
        assert f">{title}<" in text and title in on_slides and short in screen
    assert MORE_SCORES[0].meaning in text
    for value, interval in told.values():
        assert interval["low"] < interval["mean"] < interval["high"]
        assert value in text and any(value in each for each in on_slides)
        assert value in screen
    assert re.search(f'<td data-value="-1.0"[^>]*>{NOT_MEASURED}</td>', text) and NOT_MEASURED in on_slides
    figure = figures.metrics(later)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert list(filter(None, titles)) == [score.short for score in shown_in(FIGURE)]
    for drawn in (figure, figures.metrics(later, NARROW), *slides(later)):
        drawn.suptitle("")
        assert misplaced(drawn) == []
    assert f"Dot plot of {', '.join(score.short for score in shown_in(FIGURE))} of each candidate" in text


def test_a_folder_whose_weights_were_deleted_still_gives_a_new_score(make_comparison: Callable, monkeypatch):
    folder = make_comparison(("base-cnn",))[0].folder
    for run in compare_runs(folder).runs:
        (run.folder / runs.HISTORY).unlink()
    monkeypatch.setitem(SCORES, "top_2", MORE_SCORES[0])
    assert compare_runs(folder).rows[0]["top_2"] > compare_runs(folder).rows[0]["accuracy"]
