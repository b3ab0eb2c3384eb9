from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from page import Page
from small_runs import make_dataset, write_run

from headstart.report.html import write_report
from headstart.report.screen import print_comparison
from headstart.report.slides import slides
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.files import read_json, write_json


def is_unfinished(text: str) -> bool:
    """Whether a page says that runs are to come; the banner and the refresh go together."""
    refresh = ("meta", {"http-equiv": "refresh", "content": "15"}) in Page(text).seen
    assert refresh == ('http-equiv="refresh"' in text) == ('class="unfinished"' in text)
    return refresh


def test_while_runs_are_to_come_the_page_says_so_and_loads_itself_anew(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn", "frozen"))
    assert not is_unfinished(write_report(comparison).read_text("utf-8"))
    request = read_json(comparison.folder / runs.REQUEST)
    to_come = [{"candidate": name, "split": "holdout", "seed": 1} for name in ("base-cnn", "frozen")]
    write_json(comparison.folder / runs.REQUEST, request | {"trials": [*request["trials"], *to_come]})
    shutil.rmtree(comparison.folder / runs.FIGURES)
    text = write_report(compare_runs(comparison.folder)).read_text("utf-8")
    assert is_unfinished(text)
    assert "2 of 4 runs are finished" in text
    assert not (comparison.folder / runs.FIGURES).exists()  # all would be drawn again: the page has its own


@pytest.mark.parametrize(
    "finished", [[("frozen", 0)], [("base-cnn", 0), ("base-cnn", 1), ("frozen", 0)]], ids=["one", "uneven"]
)
def test_there_is_a_report_from_the_first_run_on_whatever_is_finished(tmp_path: Path, finished, capsys):
    dataset = make_dataset(per_class=10)
    trials = [
        {"candidate": name, "split": "holdout", "seed": seed} for name in ("base-cnn", "frozen") for seed in (0, 1)
    ]
    write_json(tmp_path / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "comparison", "trials": trials})
    for name, seed in finished:
        write_run(tmp_path, name, seed, dataset)
    comparison = compare_runs(tmp_path)
    comparison.save()
    text = write_report(comparison).read_text("utf-8")
    assert is_unfinished(text)
    assert f"{len(finished)} of 4 runs are finished" in text
    assert ("means over its seeds" in text) == ("Counts are summed over all times" in text) == (len(finished) > 1)
    print_comparison(comparison)
    assert f"Take {comparison.recommended}." in capsys.readouterr().out
    assert len(slides(comparison)) > 8
    table = comparison.table()
    assert dict(table["runs"]) == Counter(name for name, _ in finished)
    assert (table["accuracy_std"] > 0).tolist() == (table["runs"] > 1).tolist()
