from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from markupsafe import escape
from small_runs import make_dataset

from headstart.data.dataset import Dataset
from headstart.evaluation.scores import QUALITY
from headstart.report import NOT_MEASURED, duration, percent, short_count
from headstart.report.html import write_report
from headstart.report.tables import FORGETTING, columns_in, difference_rows, table_rows, tables
from headstart.results.comparison import Comparison
from headstart.runtime.text import shorten

Whole = tuple[Comparison, Dataset]
ACCURACY = columns_in(QUALITY)[:1]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_numbers_shown_are_those_of_the_comparison(make_comparison: Callable, seeds: tuple[int, ...]):
    comparison, _ = make_comparison(
        ("deep-cnn", "last20"), seeds=seeds, dataset=make_dataset(("cat", "dog"), per_class=20)
    )
    text = write_report(comparison).read_text(encoding="utf-8")
    columns = [column for table in tables(comparison).values() for column in table]
    cells = table_rows(comparison, columns)
    for name, row in comparison.table().iterrows():
        assert cells[name][0].text == percent(row["accuracy"])
        assert ("±" in cells[name][0].remark) == (len(seeds) > 1)
        assert [cell.text for cell in cells[name]] == [column.write(row[column.key]) for column in columns]
        assert all(cell.text in text and cell.remark in text for cell in cells[name])
    assert all(str(escape(it)) in text for it in (comparison.verdict.said, comparison.verdict.doubt))


def test_every_candidate_stands_beside_the_one_that_is_taken_with_its_interval(whole: Whole):
    comparison, _ = whole
    rows = difference_rows(comparison)
    assert list(rows) == [comparison.recommended, *(each.strategy for each in comparison.verdict.alternatives)]
    for each in comparison.verdict.alternatives:
        score, away, p, so = rows[each.strategy]
        assert score.text == percent(comparison.summary[each.strategy]["accuracy"]["mean"])
        low, high = (float(end.replace("\N{MINUS SIGN}", "-")) for end in away.remark.split(" to "))
        assert (low, high) == pytest.approx((-100 * each.difference.high, -100 * each.difference.low), abs=0.005)
        assert (low <= 0 <= high) == (so.text in ("not told apart", "equal within 1 points"))
        assert (p.text == "< 0.001") == (each.difference.p_value < 0.001)


def test_a_score_that_means_nothing_of_the_data_has_no_column(make_comparison: Callable):
    comparison, _ = make_comparison(("deep-cnn",), dataset=make_dataset(("cat", "dog")))
    quality = next(iter(tables(comparison).values()))
    assert {column.key for column in columns_in(QUALITY)} - {column.key for column in quality} == {"top5"}


def test_what_is_no_number_is_a_dash_and_sorts_below_all_numbers(make_comparison: Callable):
    comparison, _ = make_comparison(("last20",))
    known = {"last20": {**comparison.forgetting["last20"], "cka": None}}
    *_, cka = table_rows(replace(comparison, forgetting=known), FORGETTING)["last20"]
    assert cka.text == NOT_MEASURED and cka.value < 0


def test_the_best_of_a_column_is_marked_where_there_is_something_to_compare(whole: Whole):
    comparison, _ = whole
    best = {name: cells[0].best for name, cells in table_rows(comparison, ACCURACY).items()}
    accuracy = comparison.table()["accuracy"]
    assert best == {name: percent(value) == percent(accuracy.max()) for name, value in accuracy.items()}


def test_a_single_strategy_has_nothing_marked(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",))
    assert not any(cell.best for cell in table_rows(comparison, ACCURACY)["frozen"])


def test_numbers_are_written_for_people():
    def plain(text: str) -> str:
        return text.replace("\N{NO-BREAK SPACE}", " ")

    assert [plain(duration(s)) for s in (0, 0.42, 9.97, 59.6, 310, 3599.7, 4980)] == [
        *("0 s", "0.4 s", "10 s", "1 min", "5 min 10 s", "1 h", "1 h 23 min"),
    ]
    assert [plain(short_count(n)) for n in (12, 12_810, 999_960, 4_012_345, 85_000_000)] == [
        *("12", "12.8 k", "1.00 M", "4.01 M", "85.0 M"),
    ]
    assert plain(percent(0.94123)) == "94.12 %"
    assert percent(float("nan")) == NOT_MEASURED
    assert shorten("abcdefgh", 5) == "ab…gh"
