from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from layout import drawn_texts
from small_runs import FOUR, HOSTILE, make_dataset, write_run

from headstart.data.dataset import Dataset
from headstart.evaluation.scores import COST, FIGURE, QUALITY, SCORES, SCREEN, Predictions, Score, shown_in
from headstart.report import NOT_MEASURED, charts, decimal, duration, figures, images, percent, short_count
from headstart.report.html import write_report
from headstart.report.screen import print_comparison
from headstart.report.slides import slides
from headstart.report.tables import FORGETTING, table_rows, tables
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.files import read_json, write_json
from headstart.results.pictures import read_pictures
from headstart.results.scores import scores_of
from headstart.results.verification import verify
from headstart.runtime.text import shorten

ACCURACY = next(iter(tables().values()))[:1]
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

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


Whole = tuple[Comparison, Dataset]


def page_of(comparison: Comparison) -> str:
    return (comparison.folder / runs.REPORT).read_text(encoding="utf-8")


def around_charts(page: str) -> list[str]:
    """The page but for its drawings: where things lie in them depends on `DPI`, which is coarse in the tests alone."""
    return re.split(r"<svg.*?</svg>", page, flags=re.DOTALL)


def write(make_comparison: Callable, *args, **kwargs) -> str:
    """The page of a comparison whose pictures were kept, as `compare` keeps them."""
    comparison, dataset = make_comparison(*args, **kwargs)
    images.keep_pictures(comparison, dataset)
    return write_report(comparison).read_text(encoding="utf-8")


def test_the_figures_folder_holds_what_the_contract_says_and_nothing_else(whole: Whole):
    comparison, _ = whole
    assert {path.name for path in (comparison.folder / runs.FIGURES).iterdir()} == {
        *("samples.png", "class_balance.png", "curves.png", "metrics.png", "class_scores.png", "accuracy_vs_time.png"),
        *("confusion_base-cnn.png", "confusion_deep-cnn.png", "confusion_frozen.png", "confusion_last20.png"),
        *("reliability.png", "unfreezing.png"),
    }


def test_the_report_is_made_again_from_the_run_folder_alone_without_torch(whole: Whole, tmp_path: Path):
    shutil.copytree(whole[0].folder, tmp_path / "copy")
    comparison = replace(whole[0], folder=tmp_path / "copy")
    first = page_of(comparison)
    (comparison.folder / runs.REPORT).unlink()
    (comparison.folder / runs.FIGURES / "curves.png").unlink()
    code = "import sys; from headstart.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "report", str(comparison.folder)]
    made = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == str(comparison.folder / runs.REPORT)
    assert around_charts(page_of(comparison)) == around_charts(first)
    assert (comparison.folder / runs.FIGURES / "curves.png").exists()


def test_a_folder_without_small_pictures_still_gives_a_report(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn", "last20"))
    write_report(comparison)
    assert not any(tag == "img" for tag, _ in Page(page_of(comparison)).seen)
    images.keep_pictures(comparison, dataset)
    (comparison.folder / runs.EXAMPLES).unlink()
    old = [attributes for tag, attributes in Page(write_report(comparison).read_text("utf-8")).seen if tag == "img"]
    assert [image["alt"] for image in old] == ["Training images.", "Bar charts of the number of images of each class."]


def test_the_page_loads_nothing_and_runs_its_own_script_alone(whole: Whole):
    text = page_of(whole[0])
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    policy = "default-src 'none'; script-src 'sha256-{}'; img-src data:; style-src 'unsafe-inline'"
    assert policy.format(digest) in text
    scripts = []
    for tag, attributes in Page(text).seen:
        scripts += [attributes] if tag == "script" else []
        assert tag not in {"link", "iframe", "object", "base", "form"}
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "img" or str(attributes["src"]).startswith("data:image/")
        assert (attributes.get("href") or "#").startswith("#")
    assert scripts == [{"type": "application/json", "id": "cells"}, {}]
    assert not re.search(r"url\((?!#)|@import", text)


def test_every_picture_has_words_for_those_who_do_not_see_it(whole: Whole):
    seen = Page(page_of(whole[0])).seen
    charts = [attributes for tag, attributes in seen if tag == "svg"]
    assert len(charts) == 2 * 7
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)
    assert all("alt" in attributes for tag, attributes in seen if tag == "img")


def test_every_image_of_a_gallery_has_its_heat_map_beside_it_and_a_sentence_says_how_to_read_them(whole: Whole):
    comparison, _ = whole
    section = page_of(comparison).split('<section id="images"')[1].split("</section>")[0]
    shots = re.findall(r'<div class="looks">(.*?)</div>', section)
    assert len(shots) == section.count('<figure class="shot">') > 30
    sources = {charts.data_uri(jpeg, "jpeg") for jpeg in read_pictures(comparison.folder).heats.values()}
    for shot in shots:
        image, heat = (attributes for tag, attributes in Page(shot).seen if tag == "img")
        assert heat["src"] in sources
        assert re.fullmatch(r"The same as a heat map: where [\w-]+ looked for \w+", str(heat["alt"]))
        assert image["src"] not in sources
    assert "Selvaraju et al. 2017" in section
    assert "does not prove a reason" in section


def test_a_folder_without_heat_maps_shows_images_alone(make_comparison: Callable):
    text = write(make_comparison, ("base-cnn", "last20"))
    assert "What only one strategy gets right" in text
    assert "heat map" not in text
    assert "Selvaraju" not in text


def test_an_id_stands_once_on_the_page(whole: Whole):
    ids = [attributes["id"] for _, attributes in Page(page_of(whole[0])).seen if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_class_names_are_shown_as_they_are_and_do_nothing(hostile: Whole):
    text = page_of(hostile[0])
    assert "<img src=x" not in text
    for name in HOSTILE:
        assert str(escape(name, quote=False)) in text
    assert "onerror" not in {name for _, attributes in Page(text).seen for name in attributes}


def test_every_mistake_of_a_confusion_matrix_comes_with_its_images(whole: Whole):
    comparison, dataset = whole
    text = page_of(comparison)
    cells = json.loads(text.split('<script type="application/json" id="cells">')[1].split("</script>")[0])
    counted = {
        (attributes["data-cell"], text)
        for text, attributes in confusion_cells(text)
        if "right" not in str(attributes["class"]) and text
    }
    assert {cell for cell, _ in counted} == {cell for shots in cells["shots"].values() for cell in shots}
    for shots in cells["shots"].values():
        for cell, images_of_it in shots.items():
            assert 1 <= len(images_of_it) <= 3
            assert all(dataset.test.labels[image] == int(cell.split(",")[0]) for image, _ in images_of_it)
            assert all(str(image) in cells["jpegs"] for image, _ in images_of_it)


def confusion_cells(text: str) -> list[tuple[str, dict[str, str | None]]]:
    found = re.findall(r'<td class="(cell[^"]*)" [^>]*data-cell="([^"]*)"[^>]*>([^<]*)</td>', text)
    assert found
    return [(content, {"class": kind, "data-cell": cell}) for kind, cell, content in found]


def test_above_25_classes_a_confusion_matrix_is_a_picture(make_comparison: Callable):
    dataset = make_dataset([f"kind {number}" for number in range(26)], per_class=4)
    seen = Page(write(make_comparison, ("last20",), dataset=dataset)).seen
    assert "Confusion matrix of last20 on the test images." in [a["alt"] for tag, a in seen if tag == "img"]
    assert not any(attributes.get("role") == "grid" for _, attributes in seen)


def test_the_page_tells_what_the_audit_found_and_the_scores_without_leaks(make_comparison: Callable, whole: Whole):
    assert "What the check of the images found" not in page_of(whole[0])
    comparison, _ = make_comparison(("last20",), dataset=make_dataset(("cat", "dog")))
    finding = {"kind": "unreadable", "count": 3, "said": "3 files, <b>left out</b>", "is_fault": True}
    audit = {"findings": [finding | {"examples": ["<i>.jpg: empty"]}], "leaked_test_images": [0, 5], "files": {}}
    write_json(comparison.folder / runs.AUDIT, audit)
    text = write_report(compare_runs(comparison.folder)).read_text(encoding="utf-8")
    assert "3 files, &lt;b&gt;left out&lt;/b&gt;" in text and "&lt;i&gt;.jpg: empty" in text
    assert "Without the 2 test images that have duplicates in train or val: last20" in text


def test_labels_that_may_be_wrong_are_shown_with_their_pictures(make_comparison: Callable):
    comparison, dataset = make_comparison(("last20",), dataset=make_dataset(("cat", "dog"), per_class=60))
    assert comparison.label_suspects
    images.keep_pictures(comparison, dataset)
    page = Page(write_report(comparison).read_text(encoding="utf-8"))
    names = [a["alt"] for tag, a in page.seen if tag == "img"]
    for suspect in comparison.label_suspects:
        assert f"{suspect['split']} image {suspect['row']}" in names


def test_what_another_choice_would_mean_is_told(make_comparison: Callable, whole: Whole):
    comparison = whole[0]
    text = page_of(comparison)
    assert all(alternative.said in text for alternative in comparison.verdict.alternatives)


@pytest.mark.usefixtures("given_heats")
@pytest.mark.parametrize(("classes", "strategies"), [(25, FOUR), (100, ("last20",))])
def test_the_page_stays_small_whatever_the_images(make_comparison: Callable, classes: int, strategies: tuple[str]):
    dataset = make_dataset([f"kind {number}" for number in range(classes)], per_class=400 // classes, size=80)
    text = write(make_comparison, strategies, dataset=dataset)
    assert 3_000_000 < len(text) < 8_000_000  # noise: no image makes a larger JPEG, so that the cap is reached
    Page(text)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_means_over_seeds_are_called_so_where_there_are_several(make_comparison: Callable, seeds: tuple[int, ...]):
    text = write(make_comparison, ("base-cnn", "frozen", "last20"), seeds=seeds)
    assert ("means over its seeds" in text) == (len(seeds) > 1)
    assert ("Counts are summed over its seeds" in text) == (len(seeds) > 1)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_numbers_shown_are_those_of_the_comparison(make_comparison: Callable, seeds: tuple[int, ...]):
    comparison, _ = make_comparison(
        ("deep-cnn", "last20"), seeds=seeds, dataset=make_dataset(("cat", "dog"), per_class=20)
    )
    text = write_report(comparison).read_text(encoding="utf-8")
    columns = [column for table in tables().values() for column in table]
    cells = table_rows(comparison, columns)
    for name, row in comparison.table().iterrows():
        assert cells[name][0].text == percent(row["accuracy"])
        assert ("±" in cells[name][0].remark) == (len(seeds) > 1)
        assert [cell.text for cell in cells[name]] == [column.write(row[column.key]) for column in columns]
        assert all(cell.text in text and cell.remark in text for cell in cells[name])
    assert escape(comparison.because) in text


def test_forgetting_is_told_of_what_starts_pre_trained_and_of_nothing_else(make_comparison: Callable):
    comparison, _ = make_comparison(("deep-cnn", "frozen", "last50", "random-init"), seeds=(0, 1))
    rows = table_rows(comparison, FORGETTING)
    text = write_report(comparison).read_text(encoding="utf-8")
    section = text.split('<section id="retraining"')[1].split("</section>")[0].rpartition("</svg>")[2]
    assert list(rows) == ["frozen", "last50"]
    assert [cell.text for cell in rows["frozen"][1:]] == [percent(1), decimal(0), percent(0), decimal(1)]
    assert rows["last50"][1].text == percent(comparison.forgetting["last50"]["agreement"]) != percent(1)
    assert all(f">{cell.text}<" in section for cells in rows.values() for cell in cells[1:])
    assert "deep-cnn" not in section and "random-init" not in section


def test_where_nothing_was_pre_trained_nothing_is_said_of_retraining(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn", "random-init"))
    assert 'id="retraining"' not in write_report(comparison).read_text(encoding="utf-8")
    assert not (comparison.folder / runs.FIGURES / "unfreezing.png").exists()


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


def test_the_page_says_what_was_run(make_comparison: Callable):
    dataset = make_dataset()
    text = write(make_comparison, ("base-cnn", "last20"), seeds=(0, 1))
    for fact in (
        "headstart compare noise --seeds 2",
        "efficientnet_b0",
        "ImageNet-1k",
        "blocks.6",
        dataset.fingerprint,
        "32-true",
    ):
        assert fact in text
    assert "<dt>batch_size</dt>" in text and "<dt>colour</dt>" not in text
    assert "https://example.org/&lt;noise&gt;" in text
    assert "two cores" in text


def test_writing_it_again_changes_nothing(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",), dataset=make_dataset(("cat", "dog")))
    assert write_report(comparison).read_bytes() == write_report(comparison).read_bytes()


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
    text = write_report(compare_runs(comparison.folder)).read_text("utf-8")
    assert is_unfinished(text)
    assert "2 of 4 runs are finished" in text


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
    assert ("means over its seeds" in text) == ("Counts are summed over the seeds" in text) == (len(finished) > 1)
    print_comparison(comparison)
    assert f"Take {comparison.recommended}." in capsys.readouterr().out
    assert len(slides(comparison)) > 8
    table = comparison.table()
    assert dict(table["seeds"]) == Counter(name for name, _ in finished)
    assert (table["accuracy_std"] > 0).tolist() == (table["seeds"] > 1).tolist()


def with_metrics(comparison: Comparison, **more: object) -> Comparison:
    """The same comparison, as it would be if its first run had said more in its metrics."""
    run = comparison.runs[0]
    write_json(run.folder / runs.METRICS, {**run.metrics, **more})
    return compare_runs(comparison.folder)


def test_what_ended_a_run_before_its_time_is_told(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn",))
    ended = "the loss was not finite by epoch 3: training stopped, and the weights of epoch 2 are kept"
    write_report(with_metrics(comparison, ended=ended))
    assert f"base-cnn, seed 0: {ended}" in page_of(comparison)


@pytest.mark.parametrize(
    ("agreement", "is_its_own", "told"), [(0.99, False, True), (0.999, False, False), (0.9, True, False)]
)
def test_a_saved_network_that_says_otherwise_is_told(make_comparison: Callable, agreement, is_its_own, told):
    comparison, _ = make_comparison(("base-cnn",))
    saved = {"images": 500, "agreement": agreement, "largest_difference": 0.1, "is_its_own": is_its_own}
    write_report(with_metrics(comparison, saved_network=saved))
    assert ("gives 500 test images the measured class" in page_of(comparison)) == told


def test_where_every_test_image_leaks_it_says_that_none_is_left(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn",))
    leaked = {"findings": [], "leaked_test_images": list(range(len(dataset.test))), "files": {}}
    finding = {"kind": "leak", "count": 1, "said": "leaks", "examples": [], "is_fault": True}
    write_json(comparison.folder / runs.AUDIT, leaked | {"findings": [finding]})
    write_report(compare_runs(comparison.folder))
    assert f"All {len(dataset.test)} test images have duplicates in train or val" in page_of(comparison)


def test_each_file_of_a_run_is_read_once_for_all_that_is_made_of_a_comparison(
    make_comparison: Callable, monkeypatch: pytest.MonkeyPatch
):
    folder = make_comparison(("base-cnn", "frozen"), seeds=(0, 1))[0].folder
    read: Counter[str] = Counter()
    monkeypatch.setattr(runs, "read_json", lambda path: read.update([path.name]) or json.loads(path.read_text()))
    monkeypatch.setattr(np, "load", count_calls(np.load, read, runs.PREDICTIONS))
    monkeypatch.setattr(pd, "read_csv", count_calls(pd.read_csv, read, runs.HISTORY))
    comparison = compare_runs(folder)
    comparison.save()
    write_report(comparison)
    print_comparison(comparison)
    slides(comparison)
    assert read == dict.fromkeys((runs.CONFIG, runs.METRICS, runs.PREDICTIONS, runs.HISTORY), 4)


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


def among_the_two_likeliest(found: Predictions) -> float:
    return float((np.argsort(found.logits, axis=1)[:, -2:] == found.labels[:, None]).any(axis=1).mean())


MORE_SCORES = (
    Score(
        *("top_2", "Top-2 accuracy", "share of images whose class is among the two likeliest", "percent", "higher"),
        *(among_the_two_likeliest, "wilson", (QUALITY, FIGURE, SCREEN), "top 2"),
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
        assert f"{value}   {100 * interval['low']:.1f} to {100 * interval['high']:.1f}" in screen
    assert f'<td data-value="-1.0">{NOT_MEASURED}</td>' in text and NOT_MEASURED in on_slides
    figure = figures.metrics(later)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [score.short for score in shown_in(FIGURE)]
    assert f"Dot plot of {', '.join(score.short for score in shown_in(FIGURE))} of each candidate" in text


def test_a_folder_whose_weights_were_deleted_still_gives_a_new_score(make_comparison: Callable, monkeypatch):
    folder = make_comparison(("base-cnn",))[0].folder
    for run in compare_runs(folder).runs:
        (run.folder / runs.HISTORY).unlink()
    monkeypatch.setitem(SCORES, "top_2", MORE_SCORES[0])
    assert compare_runs(folder).rows[0]["top_2"] > compare_runs(folder).rows[0]["accuracy"]
