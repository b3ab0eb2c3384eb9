"""The images of a data set at another size: each made once, whichever rows are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pictures import plant
from small_data import CLASS_NAMES, coloured_part, dataset_of

from headstart.data import resized
from headstart.data.dataset import Dataset
from headstart.data.decode import fitted
from headstart.data.load import load
from headstart.data.resized import images_at


@pytest.fixture
def small(tmp_path, monkeypatch) -> Dataset:
    """12, 6 and 9 images of 16 x 16 pixels, and an empty cache."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return dataset_of("small", CLASS_NAMES, *(coloured_part(n, 16, seed) for seed, n in enumerate((12, 6, 9))))


@pytest.fixture
def made(monkeypatch) -> list[bytes]:
    """The images that were resized so far."""
    found: list[bytes] = []
    monkeypatch.setattr(resized, "fitted", lambda image, *how: found.append(image.tobytes()) or fitted(image, *how))
    return found


def test_each_image_is_made_once_for_all_splits_and_processes(small, made):
    for part, count in ((small.val, 6), (small.val, 6), (small.train, 18), (small.test, 27), (small.train, 27)):
        images, rows = images_at(small, part.rows, 32)
        assert len(made) == len(set(made)) == count
        expected = [fitted(image, 32, small.fit) for image in part.images]
        assert np.array_equal(images[rows], expected)


def test_another_size_is_made_anew(small, made):
    images_at(small, small.val.rows, 32)
    images, rows = images_at(small, small.val.rows, 8)
    assert (len(made), images[rows].shape) == (12, (6, 8, 8, 3))


def test_images_that_have_the_size_are_returned_as_they_are(small, made, tmp_path):
    images, rows = images_at(small, small.val.rows, 16)
    assert images is small.images
    assert np.array_equal(rows, small.val.rows)
    folder = load(plant(tmp_path / "photos", {"cat": 10, "dog": 10}))
    images, rows = images_at(folder, folder.test.rows, 40)
    assert images is folder.images.base
    assert np.array_equal(images[rows], folder.test.images[:])
    assert made == []


def test_images_that_another_collection_has_are_not_made_again(small, made):
    images_at(small, small.val.rows, 32)
    images, rows = images_at(replace(small, collection="another"), small.val.rows, 32)
    assert len(made) == 6
    assert np.array_equal(images[rows], [fitted(image, 32, small.fit) for image in small.val.images])
