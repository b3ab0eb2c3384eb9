from __future__ import annotations

import numpy as np
import pytest

from headstart.evaluation.examples import PER_CELL, PER_GALLERY, by_importance, choose


def sure_of(*classes: int, confidence: float | tuple[float, ...] = 0.9, of: int = 3) -> np.ndarray:
    """Logits (N, C) of a network that takes each image for one of `classes`, with this probability."""
    probability = np.broadcast_to(np.array(confidence), len(classes))
    logits = np.log(np.repeat((1 - probability)[:, None] / (of - 1), of, axis=1))
    logits[np.arange(len(classes)), classes] = np.log(probability)
    return logits


def images(examples) -> list[int]:
    return [each.image for each in examples]


def test_a_cell_shows_its_most_confident_mistakes_first():
    labels = np.array([0, 0, 0, 0, 0, 1])
    found = choose({"a": [sure_of(1, 1, 1, 1, 0, 1, confidence=(0.5, 0.9, 0.7, 0.6, 0.99, 0.8))]}, labels)["a"]
    assert list(found.cells) == [(0, 1)]
    assert images(found.cells[0, 1]) == [1, 2, 3]
    assert found.cells[0, 1][0].taken == 1
    assert found.cells[0, 1][0].confidence == pytest.approx(0.9)


def test_the_most_frequent_cell_comes_first_and_no_cell_is_of_right_answers():
    found = choose({"a": [sure_of(1, 2, 2, 0)]}, np.zeros(4, int))["a"]
    assert list(found.cells) == [(0, 2), (0, 1)]


def test_a_mistake_of_any_seed_counts_and_an_image_is_shown_once_in_a_cell():
    first, second = sure_of(1, 0, confidence=0.6), sure_of(1, 2, confidence=0.8)
    found = choose({"a": [first, second]}, np.array([0, 0]))["a"]
    assert images(found.cells[0, 1]) == [0]
    assert found.cells[0, 1][0].confidence == pytest.approx(0.8)
    assert images(found.cells[0, 2]) == [1]


def test_a_gallery_shows_an_image_once_however_many_classes_it_is_taken_for():
    first, second = sure_of(1, 1, confidence=(0.6, 0.7)), sure_of(2, 0, confidence=0.8)
    found = choose({"a": [first, second]}, np.array([0, 0]))["a"]
    assert images(found.mistakes) == [0, 1]
    assert found.mistakes[0].taken == 2


def test_alone_is_right_with_every_seed_where_all_others_are_wrong_with_every_seed():
    labels = np.zeros(4, int)
    found = choose(
        {
            "a": [sure_of(0, 0, 0, 0, confidence=(0.7, 0.9, 0.9, 0.9)), sure_of(0, 1, 0, 0)],
            "b": [sure_of(1, 1, 0, 2), sure_of(1, 1, 1, 2)],
            "c": [sure_of(2, 1, 1, 2)],
        },
        labels,
    )
    assert images(found["a"].alone) == [3, 0]  # the surest first, by its least sure seed
    assert found["a"].alone_count == 2
    assert found["b"].alone == found["c"].alone == []


def test_a_strategy_without_another_beside_it_is_alone_right_about_nothing():
    found = choose({"a": [sure_of(0, 0)]}, np.zeros(2, int))["a"]
    assert (found.alone, found.alone_count, found.cells, found.mistakes) == ([], 0, {}, [])


def test_what_is_shown_is_capped_and_the_count_is_not():
    labels = np.zeros(50, int)
    found = choose({"a": [sure_of(*[0] * 50)], "b": [sure_of(*[1] * 50)]}, labels)
    assert len(found["a"].alone) == len(found["b"].mistakes) == PER_GALLERY
    assert len(found["b"].cells[0, 1]) == PER_CELL
    assert found["a"].alone_count == 50


def test_the_galleries_are_wanted_first_then_the_first_of_every_cell():
    labels = np.zeros(40, int)
    confidence = tuple(np.linspace(0.99, 0.6, 40))
    found = choose({"a": [sure_of(*[1] * 20, *[2] * 20, confidence=confidence)]}, labels)
    wanted = by_importance(found)
    assert wanted[:PER_GALLERY] == list(range(PER_GALLERY))
    assert wanted[PER_GALLERY] == 20
    assert len(wanted) == len(set(wanted)) == PER_GALLERY + PER_CELL
