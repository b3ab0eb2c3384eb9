from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from small_runs import make_dataset

from headstart import runs
from headstart.errors import HeadstartError
from headstart.evaluation.examples import by_importance, choose
from headstart.report import drawing, images
from headstart.report.reading import predictions


def size_of(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        return picture.size


def test_small_pictures_are_kept_of_the_images_that_the_predictions_choose(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn", "last20"))
    images.keep_pictures(comparison, dataset)
    kept = runs.read_pictures(comparison.folder)
    assert list(kept.tests) == by_importance(choose(*predictions(comparison)))
    assert len(kept.tests) > 10
    for index, jpeg in kept.tests.items():
        pixels = np.asarray(Image.open(io.BytesIO(jpeg)), int)
        assert np.abs(pixels - dataset.test.images[index]).mean() < 12  # noise, as JPEG renders it
    assert [label for label, _ in kept.samples] == [label for label in range(10) for _ in range(6)]
    assert kept.counts.tolist() == [[6] * 10] * 3


def test_what_does_not_fit_is_what_matters_least(make_comparison: Callable, monkeypatch: pytest.MonkeyPatch):
    comparison, dataset = make_comparison(("base-cnn",))
    images.keep_pictures(comparison, dataset)
    everything = runs.read_pictures(comparison.folder)
    room = sum(len(jpeg) for _, jpeg in everything.samples) + sum(map(len, list(everything.tests.values())[:3]))
    monkeypatch.setattr(images, "MOST_BYTES", room)
    images.keep_pictures(comparison, dataset)
    assert list(runs.read_pictures(comparison.folder).tests) == list(everything.tests)[:3]


def test_a_large_image_is_made_small_and_keeps_its_shape():
    assert size_of(images.small_jpeg(np.zeros((300, 150, 3), np.uint8))) == (32, 64)
    assert size_of(images.small_jpeg(np.zeros((8, 20, 3), np.uint8))) == (20, 8)


def test_samples_and_class_balance_are_drawn_once(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    images.keep_pictures(comparison, dataset)
    assert {path.name for path in (comparison.folder / runs.FIGURES).iterdir()} == {"samples.png", "class_balance.png"}


def test_another_data_set_is_refused(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    other = type(dataset)(**{**vars(dataset), "fingerprint": "0" * 64})
    with pytest.raises(HeadstartError, match="load that"):
        images.keep_pictures(comparison, other)
    assert not (comparison.folder / runs.EXAMPLES).exists()


def test_class_balance_names_the_largest_and_the_smallest_class():
    dataset = make_dataset(("cat", "dog"))
    dataset.train.labels[:] = [0] * 10 + [1] * 2
    figure = images.class_balance(images.counts(dataset), dataset.class_names)
    assert figure.get_suptitle() == "cat has 5.0 times as many training images as dog"


def test_show_puts_samples_balance_and_augmentation_on_one_picture(tmp_path):
    dataset = make_dataset(("cat", "$x^2$", "鹿"))
    originals = dataset.train.images[:2]
    images.show(dataset, (originals, np.stack([originals, originals[:, :, ::-1]], axis=1)), tmp_path / "show.png")
    with Image.open(tmp_path / "show.png") as picture:
        assert picture.width == drawing.WIDTH * drawing.DPI
        assert picture.height > picture.width / 2


def test_an_image_is_drawn_with_its_own_pixels():
    black = np.zeros((1, 8, 8, 3), np.uint8)
    drawn = np.asarray(Image.open(io.BytesIO(drawing.png(images.augmentation(black, black[:, None])))).convert("L"))
    assert (drawn == 0).mean() > 0.02
