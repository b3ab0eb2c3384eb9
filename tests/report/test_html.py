from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html import escape
from pathlib import Path

import pytest
from markupsafe import escape as quoted
from page import Page, page_of
from small_runs import FOUR, HOSTILE, make_dataset

from headstart.data.dataset import Dataset
from headstart.report import charts, decimal, images, percent
from headstart.report.html import write_report
from headstart.report.tables import FORGETTING, table_rows
from headstart.report.words import decision
from headstart.results import runs
from headstart.results.comparison import Comparison, compare_runs
from headstart.results.files import write_json
from headstart.results.pictures import read_pictures

Whole = tuple[Comparison, Dataset]


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
        *("reliability.png", "unfreezing.png", "mixtures.png"),
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
    assert len(charts) == 2 * 8
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
    placed = {attributes["data-image"] for _, attributes in Page(text).seen if "data-image" in attributes}
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
            assert all((str(image) in cells["jpegs"]) != (str(image) in placed) for image, _ in images_of_it)


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
    assert all(str(quoted(alternative.said)) in text for alternative in comparison.verdict.alternatives)


@pytest.mark.usefixtures("given_heats")
@pytest.mark.parametrize(("classes", "strategies"), [(25, FOUR), (100, ("last20",))])
def test_the_page_stays_small_whatever_the_images(make_comparison: Callable, classes: int, strategies: tuple[str]):
    dataset = make_dataset([f"kind {number}" for number in range(classes)], per_class=400 // classes, size=80)
    text = write(make_comparison, strategies, dataset=dataset)
    assert 1_500_000 < len(text) < 3_000_000  # noise: no image makes a larger JPEG, so that the cap is reached
    Page(text)


def test_the_page_of_ten_candidates_in_five_folds_with_three_seeds_begins_with_the_choice_and_stays_small(ten: Whole):
    text = page_of(ten[0])
    assert len(ten[0].runs) > 100
    assert len(text) < 2_000_000  # with pictures as large as they may be a million more
    sections = re.findall(r'<section id="(\w+)"', text)
    header = text.split("<section")[0].replace("<wbr>", "")  # where names may break
    assert str(quoted(decision(ten[0]))) in header
    assert sections == [
        *("strategies", "cost", "classes", "confusion", "images", "data"),
        *("sure", "retraining", "learning", "run", "reading"),
    ]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_means_over_seeds_are_called_so_where_there_are_several(make_comparison: Callable, seeds: tuple[int, ...]):
    text = write(make_comparison, ("base-cnn", "frozen", "last20"), seeds=seeds)
    assert ("means over its seeds" in text) == (len(seeds) > 1)
    assert ("Counts are summed over all times that an image was tested" in text) == (len(seeds) > 1)


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


def with_metrics(comparison: Comparison, **more: object) -> Comparison:
    """The same comparison, as it would be if its first run had said more in its metrics."""
    run = comparison.runs[0]
    write_json(run.folder / runs.METRICS, {**run.metrics, **more})
    return compare_runs(comparison.folder)


def test_what_ended_a_run_before_its_time_is_told(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn",))
    ended = "the loss was not finite by epoch 3: training stopped, and the weights of epoch 2 are kept"
    write_report(with_metrics(comparison, ended=ended))
    assert f"base-cnn, holdout-seed0: {ended}" in page_of(comparison)


@pytest.mark.parametrize(
    ("agreement", "older", "told"),
    [(0.99, {}, True), (0.999, {}, False), (0.99, {"is_its_own": False}, True), (0.9, {"is_its_own": True}, False)],
)
def test_a_saved_network_that_says_otherwise_is_told(make_comparison: Callable, agreement, older, told):
    comparison, _ = make_comparison(("base-cnn",))
    saved = {"images": 500, "agreement": agreement, "largest_difference": 0.1, **older}
    write_report(with_metrics(comparison, saved_network=saved))
    assert ("gives 500 test images the measured class" in page_of(comparison)) == told


def test_where_every_test_image_leaks_it_says_that_none_is_left(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn",))
    leaked = {"findings": [], "leaked_test_images": list(range(len(dataset.test))), "files": {}}
    finding = {"kind": "leak", "count": 1, "said": "leaks", "examples": [], "is_fault": True}
    write_json(comparison.folder / runs.AUDIT, leaked | {"findings": [finding]})
    write_report(compare_runs(comparison.folder))
    assert f"All {len(dataset.test)} test images have duplicates in train or val" in page_of(comparison)
