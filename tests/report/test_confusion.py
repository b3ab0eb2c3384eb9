from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from small_runs import make_dataset

from headstart.data.dataset import Dataset
from headstart.evaluation.examples import Examples, choose
from headstart.report import confusion
from headstart.report.reading import confusion_matrix, predictions
from headstart.results.comparison import Comparison

Whole = tuple[Comparison, Dataset]
Chosen = tuple[dict[str, Examples], dict[str, list[np.ndarray]], np.ndarray]


@pytest.fixture
def chosen(whole: Whole) -> Chosen:
    logits, labels = predictions(whole[0])
    return choose(logits, labels), logits, labels


def test_a_matrix_has_the_counts_of_the_run_and_warms_with_their_share(whole: Whole, chosen: Chosen):
    comparison, _ = whole
    for matrix in confusion.matrices(comparison, chosen[0]):
        counts = confusion_matrix(comparison, matrix.candidate)
        assert [[cell.text for cell in row] for row in matrix.rows] == [[str(n or "") for n in row] for row in counts]
        warmth = np.array([[cell.warmth for cell in row] for row in matrix.rows])
        assert warmth**2 == pytest.approx(counts / 20, abs=2e-3)
        assert counts[matrix.shown] == (counts - np.diag(np.diag(counts))).max()


def test_a_cell_says_what_it_counts(whole: Whole, chosen: Chosen):
    comparison, _ = whole
    matrix = confusion.matrices(comparison, chosen[0])[0]
    counts = confusion_matrix(comparison, matrix.candidate)
    true, taken = matrix.shown
    names = comparison.dataset["class_names"]
    assert matrix.rows[true][taken].words.startswith(f"{names[true]} taken for {names[taken]}: {counts[true, taken]} ")
    assert matrix.rows[3][3].words.startswith(f"cat classified rightly: {counts[3, 3]} of 20, ")


def test_a_class_without_test_images_is_an_empty_row(whole: Whole, chosen: Chosen, monkeypatch: pytest.MonkeyPatch):
    empty = np.eye(10, dtype=int)
    empty[4, 4] = 0
    monkeypatch.setattr(confusion, "confusion_matrix", lambda *_: empty)
    matrix = confusion.matrices(whole[0], chosen[0])[0]
    assert {(cell.text, cell.warmth) for cell in matrix.rows[4]} == {("", 0.0)}
    assert matrix.heading == "base-cnn makes no mistake"


def test_the_pairs_that_the_recommended_strategy_confuses_most_come_with_their_surest_images(
    whole: Whole, chosen: Chosen
):
    comparison, dataset = whole
    strategy = comparison.recommended
    found = confusion.confused_pairs(comparison, chosen[0][strategy])
    counts = confusion_matrix(comparison, strategy)
    names = comparison.dataset["class_names"]
    assert 1 <= len(found) <= confusion.MOST_PAIRS
    often = []
    for gallery in found:
        assert gallery.candidate == strategy
        assert 1 <= len(gallery.shots) <= 3
        pairs = {(int(dataset.test.labels[shot.image]), shot.taken) for shot in gallery.shots}
        ((true, taken),) = pairs
        assert gallery.heading == f"{names[true]} taken for {names[taken]}: {counts[true, taken]} of 20"
        often.append(counts[true, taken])
        sure = [float(shot.lines[-1].split()[0]) for shot in gallery.shots]
        assert sure == sorted(sure, reverse=True)
    wrong = counts - np.diag(np.diag(counts))
    assert often == sorted(wrong[wrong > 0], reverse=True)[: len(found)]


def test_a_gallery_of_mistakes_says_what_is_what(whole: Whole, chosen: Chosen):
    comparison, _ = whole
    examples, logits, labels = chosen
    names = comparison.dataset["class_names"]
    for gallery in confusion.confident_mistakes(comparison, examples, labels):
        for shot in gallery.shots:
            taken = logits[gallery.candidate][0][shot.image].argmax()
            assert shot.lines[:2] == (f"is {names[labels[shot.image]]}", f"taken for {names[taken]}")
            assert shot.lines[2].endswith("sure")


def test_a_lone_success_says_what_the_others_took_it_for(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn", "last20"), dataset=make_dataset(per_class=20))
    logits, labels = predictions(comparison)
    names = comparison.dataset["class_names"]
    taken = {name: seeds[0].argmax(axis=1) for name, seeds in logits.items()}
    found = confusion.lone_successes(comparison, choose(logits, labels), taken)
    assert found[-1].candidate == "last20"
    assert found[-1].heading.endswith("of 200 test images")
    for shot in found[-1].shots:
        assert shot.lines[0] == f"is {names[labels[shot.image]]}"
        assert shot.lines[1] == f"base-cnn: {names[taken['base-cnn'][shot.image]]}"
