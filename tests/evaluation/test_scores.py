from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from headstart import strategies
from headstart.evaluation.predictions import Predictions
from headstart.evaluation.scores import COST, FIGURE, METRICS, QUALITY, SCORES, SCREEN, evaluate, with_interval
from headstart.report import WRITERS

NAMES = ("cat", "dog", "eel")


def logits_for(predicted, confidence=5.0):
    return confidence * np.eye(len(NAMES), dtype=np.float32)[predicted]


def test_scores_of_a_small_example_done_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    scores = evaluate(logits_for([0, 0, 1, 1, 1, 0]), labels, NAMES)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["confusion_matrix"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    cat, dog, eel = scores["per_class"]
    assert (cat["precision"], cat["recall"], cat["support"]) == pytest.approx((2 / 3, 2 / 3, 3))
    assert (dog["precision"], dog["recall"], dog["f1"]) == pytest.approx((2 / 3, 1, 0.8))
    assert (eel["precision"], eel["recall"], eel["f1"]) == (0, 0, 0)
    assert scores["recall_macro"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_a_class_that_is_neither_true_nor_predicted_has_no_part_in_a_mean():
    scores = evaluate(logits_for([0, 1]), np.array([0, 1]), NAMES)
    assert scores["accuracy"] == scores["f1_macro"] == scores["recall_macro"] == scores["precision_macro"] == 1
    assert len(scores["per_class"]) == len(scores["confusion_matrix"]) == 3


def test_a_class_that_is_only_predicted_counts_against_precision_and_f1_and_not_recall():
    scores = evaluate(logits_for([0, 1, 2]), np.array([0, 1, 1]), NAMES)
    assert scores["precision_macro"] == pytest.approx(2 / 3)
    assert scores["recall_macro"] == pytest.approx((1 + 1 / 2) / 2)


def test_log_loss_is_the_mean_negative_log_probability():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]))
    assert evaluate(logits, np.array([0, 2]), NAMES)["log_loss"] == pytest.approx(-(np.log(0.7) + np.log(0.1)) / 2)


def test_a_temperature_changes_probabilities_and_what_is_made_of_them_and_nothing_else():
    rng = np.random.default_rng(0)
    logits, labels = (6 * rng.standard_normal((200, 3))).astype(np.float32), rng.integers(0, 3, 200)
    raw, calibrated = evaluate(logits, labels, NAMES), evaluate(logits, labels, NAMES, temperature=5.0)
    changed = {key for key in raw if raw[key] != calibrated[key]}
    assert changed == {"log_loss", "calibration_error", "temperature"}
    by_hand = evaluate(logits.astype(np.float64) / 5, labels, NAMES)
    assert calibrated["log_loss"] == pytest.approx(by_hand["log_loss"])
    assert calibrated["calibration_error"] == pytest.approx(by_hand["calibration_error"])
    assert calibrated["calibration_error_raw"] == raw["calibration_error"] == raw["calibration_error_raw"]


@pytest.mark.parametrize("key", SCORES)
def test_a_row_can_be_written_shown_and_made(key):
    score = SCORES[key]
    assert score.key == key
    assert score.written in WRITERS
    assert score.better in ("", "higher", "lower")
    assert set(score.shown) <= {QUALITY, COST, FIGURE, SCREEN}
    assert score.short or not {FIGURE, SCREEN} & set(score.shown)
    assert score.written == "percent" or FIGURE not in score.shown  # it has one axis
    assert score.formula or not score.contributions


@pytest.mark.parametrize("score", with_interval(), ids=lambda score: score.key)
def test_what_has_an_interval_is_the_mean_of_what_images_contribute(score):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 50)
    found = Predictions(rng.standard_normal((50, 3)), labels, NAMES)
    assert score.contributions(found).mean() == pytest.approx(score.formula(found))
    assert score.contributions(found).shape == score.weights(labels).shape == (50,)
    assert score.weights(labels).mean() == pytest.approx(1)


def test_what_candidates_can_be_chosen_by_has_an_interval():
    assert {SCORES[key] for key in METRICS.values()} <= set(with_interval())
    assert tuple(METRICS) == strategies.METRICS  # what can be asked for, where no array library is needed


def test_a_row_with_a_formula_is_evaluated(monkeypatch):
    error = replace(SCORES["accuracy"], key="error", formula=lambda p: 1 - SCORES["accuracy"].formula(p))
    monkeypatch.setitem(SCORES, "error", error)
    scores = evaluate(logits_for([0, 1, 0]), np.array([0, 1, 2]), NAMES)
    assert scores["error"] == pytest.approx(1 / 3)
