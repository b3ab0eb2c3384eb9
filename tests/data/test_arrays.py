from __future__ import annotations

import numpy as np
import pytest

import headstart as hs
from headstart.data.decode import fitted
from headstart.options import FITS

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
LABELS = np.arange(30) % 3
NAMES = ["a", "b", "c"]


def test_arrays_are_split_like_a_folder():
    dataset = hs.from_arrays(IMAGES, LABELS, NAMES)
    assert sum(map(len, dataset.parts.values())) == 30
    for part in dataset.parts.values():
        assert set(part.labels) == {0, 1, 2}
    known = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    assert all(known[i.tobytes()] == label for i, label in zip(dataset.test.images, dataset.test.labels, strict=True))


def test_given_splits_are_kept():
    splits = np.where(np.arange(30) < 20, "train", "test")
    dataset = hs.from_arrays(IMAGES, LABELS, NAMES, splits=splits)
    assert np.array_equal(dataset.test.images, IMAGES[20:])


def test_identical_images_stay_together():
    doubled = np.concatenate([IMAGES, IMAGES])
    for seed in range(3):
        dataset = hs.from_arrays(doubled, np.tile(LABELS, 2), NAMES, split_seed=seed)
        digests = [set(part.digests) for part in dataset.parts.values()]
        assert sum(map(len, digests)) == len(set.union(*digests)) == 30


def test_another_split_of_the_same_images_finds_in_the_cache_what_was_computed_of_them():
    first, second = (hs.from_arrays(IMAGES, LABELS, NAMES, split_seed=seed) for seed in (0, 1))
    assert first.fingerprint != second.fingerprint
    assert first.collection == second.collection != hs.from_arrays(IMAGES[::-1], LABELS, NAMES).collection


def test_a_name_of_any_kind_leads_nowhere_else_in_the_cache():
    assert "/" not in hs.from_arrays(IMAGES, LABELS, NAMES, name="../../photos").collection


@pytest.mark.parametrize("shape", [(30, 16, 16), (30, 16, 16, 1)])
def test_grey_images_become_rgb(shape):
    dataset = hs.from_arrays(IMAGES[..., 0].reshape(shape), LABELS, NAMES)
    assert dataset.image_shape == (16, 16, 3)
    assert (dataset.train.images[..., 0] == dataset.train.images[..., 2]).all()


@pytest.mark.parametrize(("fit", "side"), [("crop", 10), ("stretch", 16), ("letterbox", 16)])
@pytest.mark.parametrize("images", [IMAGES[:, :10], IMAGES[:, :, :10, 0]], ids=["colour", "grey"])
def test_images_that_are_no_squares_are_brought_into_one_by_the_fit(images, fit, side):
    dataset = hs.from_arrays(images, LABELS, NAMES, fit=fit)
    rgb = np.repeat(images[0][..., None], 3, axis=-1) if images.ndim == 3 else images[0]
    assert dataset.image_shape == (side, side, 3)
    assert np.array_equal(dataset.images[0], fitted(rgb, side, fit))
    assert dataset.fit == fit


@pytest.mark.parametrize("fit", FITS)
def test_squares_stay_as_they_are_by_every_fit(fit):
    assert np.array_equal(hs.from_arrays(IMAGES, LABELS, NAMES, fit=fit).images, IMAGES)


def test_a_crop_that_leaves_too_little_is_refused_and_an_unknown_fit_too():
    hs.from_arrays(IMAGES[:, :5], LABELS, NAMES, fit="stretch")
    with pytest.raises(hs.HeadstartError, match="16 x 5 pixels are too small for squares of 8 a side: crop leaves 5"):
        hs.from_arrays(IMAGES[:, :5], LABELS, NAMES, fit="crop")
    with pytest.raises(hs.HeadstartError, match="fit: 'squash' is none of stretch, crop, letterbox"):
        hs.from_arrays(IMAGES, LABELS, NAMES, fit="squash")


@pytest.mark.parametrize(
    ("images", "labels", "names", "said"),
    [
        (IMAGES / 255, LABELS, NAMES, "images must be uint8"),
        (IMAGES.transpose(0, 3, 1, 2), LABELS, NAMES, "images must be uint8"),
        (IMAGES[:0], LABELS[:0], NAMES, "images must be uint8"),
        (IMAGES.tolist(), LABELS, NAMES, r"images must be uint8 .* got int64 \(30, 16, 16, 3\)"),
        (
            IMAGES[:, :5, :5],
            LABELS,
            NAMES,
            "images of 5 x 5 pixels are too small for squares of 8 a side, the least there is",
        ),
        (IMAGES, LABELS[:-1], NAMES, "labels must be 30 integers"),
        (IMAGES, LABELS.astype(float), NAMES, "labels must be 30 integers"),
        (IMAGES, LABELS, NAMES[:2], "indices into two or more class names"),
        (IMAGES, np.zeros(30, int), NAMES, "class 'b' has no image: no label says it"),
        (IMAGES[[0] * 30], LABELS, NAMES, "too few different images"),
        (IMAGES, np.where(np.arange(30) < 29, 0, 1), NAMES[:2], "class 'b' has too few different images: 1"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_in_one_line(images, labels, names, said):
    with pytest.raises(hs.HeadstartError, match=said) as refusal:
        hs.from_arrays(images, labels, names)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", "b", "a"], "two classes are called 'a'"),
        (["a", "b", " a"], "two classes are called 'a'"),
        (["1", "2", "1.0"], "two classes are called '1'"),
        (["caf\u00e9", "b", "cafe\u0301"], "two classes are called 'café'"),
        (["a", "b", "nan"], "'nan' is no name of a class"),
        (["a", "b", ""], "'' is no name of a class"),
        ([0, 1, 2], r"class_names must be texts; got 0 \(int\)"),
        ("abc", "class_names must be a list of texts; got str"),
    ],
)
def test_class_names_are_held_to_the_rules_of_folders(names, said):
    with pytest.raises(hs.HeadstartError, match=said):
        hs.from_arrays(IMAGES, LABELS, names)


def test_splits_may_be_spelled_as_folders_are():
    splits = np.where(np.arange(30) < 20, "Training", "test_set")
    assert np.array_equal(hs.from_arrays(IMAGES, LABELS, NAMES, splits=splits).test.images, IMAGES[20:])


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (["val", "test"] * 15, "photos: there is val and test, and no train"),
        (
            ["val" if label == 1 else "train" for label in LABELS[:15]] + ["test"] * 15,
            "train has no image of class 'b'",
        ),
        (
            ["train"] * 20 + ["val"] * 9 + ["test"],
            "photos: test has no image of class 'a', 'b', which",
        ),
        (["train"] * 29, "splits must be 30 words"),
        (["devil"] * 30, "each train, val or test"),
    ],
    ids=["empty train", "class not in train", "class not in test", "too short", "unknown"],
)
def test_splits_that_leave_a_class_out_of_a_part_are_refused_in_one_line(splits, said):
    with pytest.raises(hs.HeadstartError, match=said) as refusal:
        hs.from_arrays(IMAGES, LABELS, NAMES, splits=splits, name="photos")
    assert "\n" not in str(refusal.value)
