from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_runs import HOSTILE, make_dataset

from headstart import runs
from headstart.errors import HeadstartError
from headstart.report import NOT_MEASURED, duration, percent, short_count, shorten
from headstart.report.html import write_report
from headstart.report.tables import TABLES, table_rows

ACCURACY = next(iter(TABLES.values()))[:1]
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """The page as a browser's tree would have it: raises where a tag is not closed by its own."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def write(make_comparison: Callable, *args, **kwargs) -> str:
    return write_report(*make_comparison(*args, **kwargs)).read_text(encoding="utf-8")


def test_the_figures_folder_holds_what_the_contract_says_and_nothing_else(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn", "last20"))
    assert write_report(comparison, dataset) == comparison.folder / runs.REPORT
    assert {path.name for path in (comparison.folder / runs.FIGURES).iterdir()} == {
        *("samples.png", "class_balance.png", "curves.png", "metrics.png", "accuracy_vs_time.png"),
        *("confusion_base-cnn.png", "confusion_last20.png"),
    }


def test_the_page_needs_nothing_from_outside_and_runs_nothing(make_comparison: Callable):
    text = write(make_comparison, ("deep-cnn", "last20"))
    for tag, attributes in Page(text).seen:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "img" or str(attributes["src"]).startswith("data:image/png;base64,")
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import", text)


def test_every_picture_has_words_for_those_who_do_not_see_it(make_comparison: Callable):
    images = [attributes for tag, attributes in Page(write(make_comparison, ("frozen",))).seen if tag == "img"]
    assert len(images) == 5 + 1
    assert all(image["alt"] for image in images)


def test_hostile_class_names_are_shown_as_they_are_and_do_nothing(make_comparison: Callable):
    text = write(make_comparison, ("last20",), dataset=make_dataset(HOSTILE, per_class=10))
    assert "<img src=x" not in text
    for name in HOSTILE:
        assert str(escape(name, quote=False)) in text
    assert "onerror" not in {name for _, attributes in Page(text).seen for name in attributes}


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_numbers_shown_are_those_of_the_comparison(make_comparison: Callable, seeds: tuple[int, ...]):
    comparison, dataset = make_comparison(
        ("deep-cnn", "last20"), seeds=seeds, dataset=make_dataset(("cat", "dog"), per_class=20)
    )
    text = write_report(comparison, dataset).read_text(encoding="utf-8")
    columns = [column for table in TABLES.values() for column in table]
    cells = table_rows(comparison, columns)
    for name, row in comparison.table().iterrows():
        assert cells[name][0].text == percent(row["accuracy"])
        assert ("±" in cells[name][0].remark) == (len(seeds) > 1)
        assert [cell.text for cell in cells[name]] == [column.write(row[column.key]) for column in columns]
        assert all(cell.text in text and cell.remark in text for cell in cells[name])
    assert escape(comparison.because) in text


def test_the_best_of_a_column_is_marked_where_there_is_something_to_compare(make_comparison: Callable):
    comparison, _ = make_comparison()
    best = {name: cells[0].best for name, cells in table_rows(comparison, ACCURACY).items()}
    accuracy = comparison.table()["accuracy"]
    assert best == {name: percent(value) == percent(accuracy.max()) for name, value in accuracy.items()}


def test_a_single_strategy_has_nothing_marked(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    Page(write_report(comparison, dataset).read_text(encoding="utf-8"))
    assert not any(cell.best for cell in table_rows(comparison, ACCURACY)["frozen"])


@pytest.mark.parametrize("classes", [2, 100])
def test_few_and_many_classes_work(make_comparison: Callable, classes: int):
    dataset = make_dataset([f"class of kind {number}" for number in range(classes)], per_class=2)
    Page(write(make_comparison, ("last20",), dataset=dataset))


def test_the_page_says_what_was_run(make_comparison: Callable):
    text = write(make_comparison, ("base-cnn", "last20"), seeds=(0, 1))
    for fact in (
        "headstart compare noise --seeds 2",
        "efficientnet_b0",
        "ImageNet-1k",
        "blocks.6",
        "f1" * 32,
        "32-true",
    ):
        assert fact in text
    assert "https://example.org/&lt;noise&gt;" in text
    assert "two cores" in text


def test_another_data_set_is_refused(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    other = type(dataset)(**{**vars(dataset), "fingerprint": "0" * 64})
    with pytest.raises(HeadstartError, match="load that"):
        write_report(comparison, other)


def test_writing_it_again_changes_nothing(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",), dataset=make_dataset(("cat", "dog")))
    assert write_report(comparison, dataset).read_bytes() == write_report(comparison, dataset).read_bytes()


def test_importing_the_report_does_not_import_torch():
    code = "import sys, headstart.report.html, headstart.report.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


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
