from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from small_runs import HOSTILE, make_dataset

from headstart.report import drawing, figures


def drawn(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawing.png(figure))).convert("L"))


def luminance(colour: str) -> float:
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(channels, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("colour", drawing.PALETTE)
def test_a_strategy_colour_has_a_contrast_of_3_to_1_against_white(colour: str):
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def test_a_strategy_has_one_colour_whatever_else_is_drawn(make_comparison: Callable):
    comparison, _ = make_comparison(seeds=(0, 1))
    assert list(drawing.colours(comparison)) == ["base-cnn", "deep-cnn", "frozen", "last20"]
    assert len(set(drawing.colours(comparison).values())) == 4


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_drawn_as_plain_text(name: str):
    figure = Figure()
    figure.text(0, 0.5, drawing.drawable(name, "class 7"))
    figure.draw_without_rendering()  # a name read as mathematics would raise, one without glyphs would warn


def test_a_name_without_glyphs_is_drawn_by_its_number():
    assert drawing.drawable_classes(["cat", "\U000f0000", ""]) == ["cat", "class 1", "class 2"]


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert drawing.drawable("n02085620-Chihuahua-of-Mexico", "", length=15) == "n020856…-Mexico"


def test_figures_leave_the_users_settings_and_pyplot_alone(make_comparison: Callable):
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    comparison, dataset = make_comparison()
    figures.curves(comparison)
    figures.class_balance(dataset)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_an_image_is_drawn_with_its_own_pixels():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    assert (drawn(figures.augmentation(images, images[:, None])) == 0).mean() > 0.02


def test_class_balance_names_the_largest_and_the_smallest_class():
    dataset = make_dataset(("cat", "dog"))
    dataset.train.labels[:] = [0] * 10 + [1] * 2
    assert figures.class_balance(dataset).get_suptitle() == "cat has 5.0 times as many training images as dog"


def test_confusion_says_the_most_frequent_mistake():
    matrix = np.array([[5, 3], [1, 7]])
    assert (
        figures.confusion(matrix, ["cat", "dog"], "frozen").get_suptitle()
        == "frozen most often takes cat for dog: 3 of 8"
    )
    assert figures.mistakes(matrix, 5) == [(0, 1, 3), (1, 0, 1)]
    assert figures.confusion(np.eye(2, dtype=int), ["cat", "dog"], "frozen").get_suptitle() == "frozen makes no mistake"


def test_a_class_without_test_images_is_an_empty_row():
    drawn(figures.confusion(np.array([[0, 0], [1, 7]]), ["cat", "dog"], "frozen"))


def test_accuracy_vs_time_names_every_strategy_and_the_most_accurate(make_comparison: Callable):
    comparison, _ = make_comparison(seeds=(0, 1))
    figure = figures.accuracy_vs_time(comparison)
    assert {text.get_text() for text in figure.axes[0].texts} == {"base-cnn", "deep-cnn", "frozen", "last20"}
    assert figure.get_suptitle().startswith(f"{comparison.table()['accuracy'].idxmax()} is the most accurate")


def test_curves_ring_the_epoch_with_the_lowest_loss_on_val(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",))
    history = comparison.runs[0].history
    ring = next(line for line in figures.curves(comparison).axes[0].lines if line.get_marker() == "o")
    assert ring.get_xdata() == [history["epoch"][history["val_loss"].idxmin()]]


def test_show_puts_samples_balance_and_augmentation_on_one_picture(tmp_path):
    dataset = make_dataset(HOSTILE)
    originals = dataset.train.images[:2]
    figures.show(dataset, (originals, np.stack([originals, originals[:, :, ::-1]], axis=1)), tmp_path / "show.png")
    with Image.open(tmp_path / "show.png") as picture:
        assert picture.width == drawing.WIDTH * drawing.DPI
        assert picture.height > picture.width / 2
