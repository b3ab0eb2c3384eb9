"""One picture laid on another."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import picture

from headstart.data.alignment import bend, laid_on


def grey(image, side=64):
    return np.asarray(image.convert("L").resize((side, side)), dtype=np.float32)


@pytest.fixture
def original():
    return picture(0, 160, 160)


def test_a_picture_lies_on_itself(original):
    score, maps = laid_on(grey(original)[None], grey(original)[None], np.ones(1))
    assert score == pytest.approx(1, abs=1e-3)
    assert maps[0] == pytest.approx(np.eye(2, 3), abs=1e-3)


def test_the_map_says_which_part_of_the_first_the_second_is(original):
    part = original.crop((8, 0, 152, 144))  # nine tenths, from the upper edge
    score, maps = laid_on(grey(original)[None], grey(part)[None], np.ones(1))
    assert score > 0.95
    assert maps[0] == pytest.approx(np.array([[0.9, 0, 0], [0, 0.9, -0.1]]), abs=0.04)


def test_brightness_and_contrast_do_not_matter(original):
    score, _ = laid_on(grey(original)[None], 0.5 * grey(original)[None] + 70, np.ones(1))
    assert score > 0.95


@pytest.mark.parametrize("rows", [slice(0, 10), slice(54, 64)], ids=["above", "below"])
def test_a_caption_does_not_matter(original, rows):
    captioned = grey(original)
    captioned[rows] = np.random.default_rng(0).choice([0, 255], (10, 64))
    score, _ = laid_on(grey(original)[None], captioned[None], np.ones(1))
    assert score > 0.9


def test_other_pictures_do_not_correlate():
    others = np.stack([grey(picture(seed, 160, 160)) for seed in range(1, 9)])
    score, _ = laid_on(np.repeat(grey(picture(0, 160, 160))[None], 8, axis=0), others, np.ones(8))
    assert score.max() < 0.7


def test_a_flat_picture_correlates_with_nothing(original):
    flat = np.full((1, 64, 64), 90, np.float32)
    assert laid_on(flat, flat, np.ones(1))[0] == 0
    assert laid_on(grey(original)[None], flat, np.ones(1))[0] == 0


def test_moving_and_scaling_bend_nothing_and_a_crop_of_one_side_neither():
    square = np.ones((1, 2, 2))
    assert bend(np.array([[[0.8, 0, 0.1], [0, 0.8, -0.1]]]), square) == pytest.approx(0, abs=1e-6)
    assert bend(np.array([[[0.8, 0, 0], [0, 1, 0]]]), square) == pytest.approx(np.log(1.25))
    cropped = np.array([[[100.0, 80], [80, 80]]])  # made square, it is stretched
    assert bend(np.array([[[0.8, 0, 0], [0, 1, 0]]]), cropped) == pytest.approx(0, abs=1e-6)
    turn = np.array([[[np.cos(0.1), -np.sin(0.1), 0], [np.sin(0.1), np.cos(0.1), 0]]])
    assert bend(turn, square) == pytest.approx(0.1)
