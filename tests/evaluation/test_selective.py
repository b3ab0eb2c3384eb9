from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation.selective import Judged, answered_above, best_accuracy, threshold


def drawn(count: int, random: np.random.Generator) -> Judged:
    """A calibrated classifier's answers: right as often as it says."""
    confidence = 1 - 0.5 * random.beta(0.5, 3, count)
    return Judged(confidence, random.random(count) < confidence)


def test_of_many_thresholds_hardly_any_promises_too_much():
    random = np.random.default_rng(0)
    all_there_are = drawn(200_000, random)
    found = [threshold(drawn(1000, random), 0.95) for _ in range(100)]
    kept = [answered_above(all_there_are, each).accuracy.value >= 0.95 for each in found if each is not None]
    assert len(kept) > 80
    assert np.mean(kept) >= 0.95


def test_one_confident_mistake_does_not_end_the_search():
    judged = Judged(np.linspace(1, 0.5, 2000), np.arange(2000) != 0)
    assert threshold(judged, 0.99) == pytest.approx(0.5)


def test_few_images_cannot_show_much_and_say_how_much():
    judged = Judged(np.linspace(1, 0.5, 19), np.ones(19, bool))
    best = best_accuracy(judged)
    assert threshold(judged, 0.99) is None
    assert threshold(judged, best) is not None
    assert threshold(judged, best + 0.001) is None


@pytest.mark.parametrize(("images", "shown"), [(298, False), (299, True)])
def test_as_few_as_can_show_an_accuracy_do(images, shown):
    judged = Judged(np.linspace(1, 0.5, images), np.ones(images, bool))
    assert 0.99**299 < 0.05 < 0.99**298
    assert (threshold(judged, 0.99) is not None) is shown


def test_a_fraction_of_few_images_is_answered_where_all_would_show_nothing():
    judged = Judged(np.linspace(1, 0.5, 500), np.arange(500) < 400)
    assert answered_above(judged, threshold(judged, 0.99)).answered >= 367


def test_images_of_equal_confidence_are_answered_together():
    judged = Judged(np.full(1000, 0.9), np.arange(1000) >= 100)
    assert threshold(judged, 0.95) is None


@pytest.mark.parametrize("images", [0, 5000])
def test_no_images_show_that_all_answers_are_right(images):
    assert threshold(Judged(np.linspace(1, 0.5, images), np.ones(images, bool)), 1) is None


def test_no_images_show_nothing():
    none = Judged(np.empty(0), np.empty(0, bool))
    assert threshold(none, 0.5) is None
    assert best_accuracy(none) == 0
    assert answered_above(none, 0.5).accuracy is None
