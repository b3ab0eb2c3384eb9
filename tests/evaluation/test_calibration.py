from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from headstart.evaluation.calibration import TEMPERATURES, calibration_error, fit_temperature, reliability


def calibrated(images=5000, classes=10, seed=0):
    """Logits whose probabilities are true, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((images, classes))
    return logits, (softmax(logits, axis=1).cumsum(axis=1) < rng.random((images, 1))).sum(axis=1)


def log_loss(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    probabilities = np.tile([0.8, 0.1, 0.1], (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert calibration_error(probabilities, labels) == pytest.approx(0.2)
    assert calibration_error(np.tile([1.0, 0.0, 0.0], (4, 1)), np.zeros(4, int)) == 0


def test_gaps_in_different_bins_do_not_cancel():
    probabilities = np.array([[0.95, 0.05, 0.0]] * 10 + [[0.55, 0.45, 0.0]] * 10)
    labels = np.array([0] * 9 + [1] + [0] * 6 + [1] * 4)  # 0.9 right at 0.95, 0.6 right at 0.55
    assert calibration_error(probabilities, labels) == pytest.approx(0.05)


def test_calibration_error_of_a_documented_example():
    # TorchMetrics documentation, MulticlassCalibrationError with n_bins=3 and norm="l1"; by hand: three images of the
    # middle bin with mean confidence 0.5667, one of them right, and one of the last bin with 0.9, right:
    # (3 * 0.2333 + 1 * 0.1) / 4
    probabilities = np.array([[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]])
    assert calibration_error(probabilities, np.array([0, 1, 2, 0]), bins=3) == pytest.approx(0.2)


def test_a_reliability_diagram_has_every_image_in_the_bin_of_its_confidence():
    probabilities = np.array([[0.95, 0.05], [0.92, 0.08], [0.30, 0.70], [1.0, 0.0]])
    found = reliability(probabilities, np.array([0, 1, 1, 0]), bins=10)
    assert found.count.tolist() == [0] * 7 + [1, 0, 3]
    assert found.confidence[[7, 9]] == pytest.approx([0.70, 2.87 / 3])
    assert found.accuracy[[7, 9]] == pytest.approx([1, 2 / 3])
    assert np.isnan(found.confidence[0]) and np.isnan(found.accuracy[8])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_spoilt_the_confidence_is_found(temperature):
    logits, labels = calibrated()
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.03)


def test_a_classifier_that_is_too_sure_is_calibrated_and_gives_the_same_classes():
    logits, labels = calibrated()
    too_sure = (3 * logits).astype(np.float32)
    temperature = fit_temperature(too_sure[:2500], labels[:2500])
    test, test_labels = too_sure[2500:], labels[2500:]
    before, after = (calibration_error(softmax(each, axis=1), test_labels) for each in (test, test / temperature))
    assert after < 0.03 < 0.15 < before
    assert np.array_equal((test / temperature).argmax(axis=1), test.argmax(axis=1))


def test_the_temperature_found_is_next_to_the_best_for_the_likelihood():
    logits, labels = calibrated(images=1000)
    grid = np.geomspace(0.5, 2, 400)
    best = min(log_loss(logits / each, labels) for each in grid)
    assert log_loss(logits / fit_temperature(logits, labels), labels) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("gap", [0.1, 3.0, 30.0])
def test_where_every_image_of_val_is_right_the_confidence_stays_below_certainty(gap):
    labels = np.arange(200) % 4
    logits = gap * np.eye(4)[labels]
    temperature = fit_temperature(logits, labels)
    assert TEMPERATURES[0] < temperature < TEMPERATURES[1]
    assert 0.99 < softmax(logits / temperature, axis=1).max(axis=1).min() < 0.9999  # 200 right of 200


def test_where_every_image_of_val_is_wrong_the_temperature_is_finite():
    labels = np.arange(20) % 4
    assert fit_temperature(5.0 * np.eye(4)[(labels + 1) % 4], labels) == pytest.approx(TEMPERATURES[1], rel=1e-3)
