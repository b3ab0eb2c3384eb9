from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from scipy.special import softmax
from small_runs import HOSTILE, make_dataset, write_runs

from headstart.cli import main
from headstart.evaluation.calibration import fit_temperature
from headstart.inference.doubt import PAGES
from headstart.inference.unsure import sureness
from headstart.report import NBSP, NOT_MEASURED, percent
from headstart.report.card import escaped, write_card
from headstart.report.reading import class_support
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import compare_runs
from headstart.results.files import write_json
from headstart.results.scores import flagged
from headstart.results.verification import changed_files
from headstart.runtime.text import shorten, shown

TAKEN = "last20"  # by the numbers of small_runs


def card_of(comparison):
    return write_card(comparison).read_text(encoding="utf-8")


def page_of(card):
    """What a reader of Markdown makes of a card, without its front matter."""
    return MarkdownIt("commonmark").enable("table").render(card.split("---\n", 2)[2])


def with_backbone(comparison, **changes):
    """The same comparison, whose recommended run says other things of its weights."""
    for run in comparison.runs:
        if run.candidate == comparison.recommended:
            write_json(run.folder / runs.CONFIG, run.config | {"backbone": {**run.config["backbone"], **changes}})
    return compare_runs(comparison.folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("card"), ("base-cnn", TAKEN), (0, 1), make_dataset(per_class=10))


def test_its_front_matter_is_what_the_hubs_own_classes_read(written):
    data = ModelCard(card_of(written)).data
    assert (data.library_name, data.pipeline_tag) == ("headstart", "image-classification")
    assert data.model_name == f"noise-{TAKEN}"
    scores = {each.metric_type: each for each in data.eval_results}
    assert set(data.metrics) == set(scores) == {"accuracy", "f1", "precision", "recall"}
    assert scores["accuracy"].metric_value == pytest.approx(written.summary[TAKEN]["accuracy"]["mean"], abs=1e-6)
    assert (scores["f1"].dataset_name, scores["f1"].dataset_split) == ("noise", "test")


def test_it_tells_scores_with_intervals_every_class_and_how_it_was_measured(written):
    page = html.unescape(re.sub(r"<[^>]*>", "|", page_of(card_of(written))))
    row = written.summary[TAKEN]["accuracy"]
    assert f"{100 * row['mean']:.2f} % of 100 test images" in page
    assert f"{100 * row['low']:.1f} % to {100 * row['high']:.1f} %" in page
    assert written.because in page
    for name, support in zip(written.dataset["class_names"], class_support(written), strict=True):
        assert re.search(rf"\|{name}\|\s*\|{NOT_MEASURED}\|\s*\|{NOT_MEASURED}\|\s*\|{support}\|", page)
    for said in (
        "Seeds 0, 1.",
        "expected calibration error is",
        "It was not audited.",
        "python: 3.11.7",
        "to fit on cpu",
    ):
        assert said in page


def test_it_says_how_often_it_would_answer_and_how_often_it_flags_falsely(tmp_path):
    written = write_runs(tmp_path, (TAKEN,), (0,), make_dataset(per_class=10))
    [take] = written.runs
    logits, labels, names = take.predictions("val")
    confident = softmax(logits, axis=1).max(axis=1) >= 0.6
    right = np.where(confident, logits.argmax(axis=1), labels)  # of 100 images enough to show 90 %
    runs.write_predictions(take.folder, names, test=take.predictions()[:2], val=(logits, right))
    take = runs.Run(take.folder)
    runs.write_novelty(take.folder, np.ones((3, 2)), np.linspace(0, 0.5, 99), np.linspace(0, 1, 100))
    write_json(take.folder / runs.METRICS, take.metrics | flagged(runs.Run(take.folder)))
    card = card_of(compare_runs(written.folder))
    temperature = fit_temperature(*take.predictions("val")[:2])
    sure = sureness(take, 0.9, temperature)
    said = rf"90% \| {percent(sure.least)} \| {percent(sure.test.share, 1)} \| {percent(sure.test.accuracy.value)} \("
    assert re.search(said.replace(NBSP, " "), card)
    assert f"99% | cannot be shown | {NOT_MEASURED} | {NOT_MEASURED} |" in card
    assert "falsely, 50.0 % of test images are." in card


def test_names_of_classes_break_neither_its_tables_nor_its_page(tmp_path):
    page = page_of(card_of(write_runs(tmp_path, (TAKEN,), (0,), make_dataset(HOSTILE, per_class=10))))
    assert "<img" not in page
    cells = re.findall(r"<tr>\n<td>(.*?)</td>", page)[-len(HOSTILE) - len(PAGES) : -len(PAGES)]  # above that of doubts
    assert [html.unescape(cell) for cell in cells] == [shorten(shown(name), 60) for name in HOSTILE]


@pytest.mark.parametrize(
    "text", ["a|b", "# a", "1. a", "- a", "[a](b)", "`a", "**a**", "<b>", "&amp;", "\\|", "12", "~~a~~"]
)
def test_whatever_a_name_is_it_reads_as_it_is(text):
    page = MarkdownIt("commonmark").enable("table").render(str(escaped(text)))
    assert page == f"<p>{html.escape(text)}</p>\n"


def test_no_place_on_this_machine_is_in_it(tmp_path):
    dataset = replace(make_dataset(), source="/home/jane/secret/noise")
    comparison = write_runs(tmp_path, (TAKEN,), (0,), dataset)
    card = card_of(comparison)
    assert "a folder or table, noise" in card
    assert not re.search(r"jane|secret|--seeds 2", card)
    assert str(tmp_path) not in card


@pytest.mark.parametrize(
    ("licence", "said", "own_name"),
    [("apache-2.0", "apache-2.0", None), ("dinov3-license", "other", "dinov3-license"), (None, "unknown", None)],
)
def test_the_licence_is_that_of_the_weights_as_far_as_it_is_known(tmp_path, licence, said, own_name):
    comparison = write_runs(tmp_path, (TAKEN,), (0,), make_dataset())
    if licence:
        comparison = with_backbone(comparison, licence=licence, weights="hub timm/some.net")
    card = card_of(comparison)
    data = ModelCard(card).data
    assert (data.license, data.license_name) == (said, own_name)
    assert data.base_model == ("timm/some.net" if licence else None)
    assert f"licence: {licence or 'unknown'}." in card


def test_from_scratch_it_began_from_nobodys_weights(tmp_path):
    card = card_of(write_runs(tmp_path, ("base-cnn",), (0,), make_dataset()))
    assert "nobody else's" in card
    assert "from-scratch" in ModelCard(card).data.tags


def test_what_the_audit_found_stands_in_it_faults_first(tmp_path):
    comparison = write_runs(tmp_path, (TAKEN,), (0,), make_dataset())
    found = [{"said": "3 images: turned upright", "is_fault": False}, {"said": "2 files <gone>", "is_fault": True}]
    write_json(tmp_path / runs.AUDIT, {"findings": found})
    assert "- 2 files &lt;gone&gt;\n- 3 images: turned upright\n" in card_of(comparison)


def test_report_makes_it_again_and_its_checksum_vouches_for_it(make_comparison, monkeypatch):
    monkeypatch.setattr("headstart.report.html.write_report", lambda comparison: comparison.folder)  # has its own tests
    comparison, _ = make_comparison(("base-cnn",))
    write_card(comparison)
    write_checksums(comparison.folder)
    path = comparison.folder / runs.CARD
    before = path.read_bytes()
    path.write_bytes(before.replace(b"Accuracy", b"Luck"))
    assert any(runs.CARD in line for line in changed_files(comparison.folder))
    main(["report", str(comparison.folder)])
    assert path.read_bytes() == before
    assert changed_files(comparison.folder) == []
    assert json.loads((comparison.folder / runs.COMPARISON).read_text())["recommended"] == "base-cnn"
