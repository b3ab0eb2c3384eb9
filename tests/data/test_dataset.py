"""One collection of images, and splits that choose rows of it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from pictures import encoded, picture, plant
from small_data import CLASS_NAMES, coloured_part, dataset_of

from headstart.data.dataset import Dataset, Rows, Split, collection_of, digest_of
from headstart.data.load import limited, load
from headstart.errors import HeadstartError


@pytest.fixture
def small() -> Dataset:
    """12, 6 and 9 images of 16 x 16 pixels."""
    return dataset_of("small", CLASS_NAMES, *(coloured_part(n, 16, seed) for seed, n in enumerate((12, 6, 9))))


def folds(dataset: Dataset, count: int = 3) -> list[Split]:
    """Each image in the test set of one of several splits."""
    of = np.arange(len(dataset)) // 3 % count  # three classes in turn
    return [
        Split(f"fold{fold}", *(np.flatnonzero((of - fold) % count == part) for part in range(3)))
        for fold in range(count)
    ]


def test_parts_show_rows_of_the_collection_and_copy_nothing(small):
    for name, part in small.parts.items():
        assert part.images.base is small.images
        assert np.array_equal(part.rows, getattr(small.splits[0], name))
        assert np.array_equal(part.images[:], small.images[part.rows])
        assert np.array_equal(part.labels, small.labels[part.rows])
        assert np.array_equal(part.digests, small.digests[part.rows])
        assert part.files is None
    assert list(small.parts) == ["train", "val", "test"]
    assert [len(part) for part in (small.train, small.val, small.test)] == [12, 6, 9]


def test_images_are_indexed_as_arrays_are_and_what_is_chosen_is_a_copy(small):
    part = small.val
    array = small.images[part.rows]
    for index in (0, -1, slice(2, 5), [3, 1], np.array([True, False] * 3), ..., (..., 0), (2, 5), (slice(4), 3, 2, 1)):
        assert np.array_equal(part.images[index], array[index]), index
    assert (part.images.shape, part.images.dtype, len(part.images)) == (array.shape, array.dtype, 6)
    assert np.array_equal(np.asarray(part.images), array)
    assert np.array_equal(np.stack(list(part.images)), array)
    part.images[:][:] = 0
    assert np.array_equal(part.images[:], array)


def test_a_part_of_images_on_disk_is_rows_of_the_same_file(tmp_path):
    dataset = load(plant(tmp_path / "photos", {"cat": 10, "dog": 10}))
    assert isinstance(dataset.images, Rows)
    part = dataset.train
    assert part.images.base is dataset.images.base
    assert isinstance(part.images.base, np.memmap)
    assert np.array_equal(part.images[:], dataset.images[part.rows])
    assert part.files["path"].tolist() == dataset.files["path"].iloc[part.rows].tolist()
    assert part.files.index.tolist() == list(range(len(part)))


def test_a_digest_is_that_of_shape_and_pixels(small, tmp_path):
    pixels = small.images[4]
    assert small.digests[4] == digest_of(pixels) == sha256(b"(16, 16, 3)" + pixels.tobytes()).hexdigest()
    assert digest_of(np.zeros((2, 8, 3), np.uint8)) != digest_of(np.zeros((8, 2, 3), np.uint8))
    assert digest_of(small.images[4, :, ::-1]) == digest_of(small.images[4, :, ::-1].copy())
    dataset = load(plant(tmp_path / "photos", {"cat": 5, "dog": 5}))
    assert dataset.digests.tolist() == [digest_of(image) for image in dataset.images]


def test_a_limit_chooses_rows_and_keeps_the_fingerprint(small):
    few = limited(small, 6)
    assert few.images is small.images
    assert few.fingerprint == small.fingerprint
    assert set(few.train.rows) < set(small.train.rows)
    assert np.array_equal(few.test.rows, small.test.rows)


def test_the_fingerprint_follows_pixels_labels_names_and_what_is_held_out(small):
    [split] = small.splits
    image, label = small.images.copy(), small.labels.copy()
    image[3, 2, 1, 0] ^= 1
    label[0] = 1
    others = [
        replace(small, images=image),
        replace(small, labels=label),
        replace(small, class_names=("red", "green", "violet")),
        replace(small, splits=(replace(split, train=split.val, val=split.train),)),
        replace(small, splits=(replace(split, name="fold0"),)),
        replace(small, splits=(split, replace(split, name="again"))),
    ]
    assert len({small.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)
    same = replace(small, name="renamed", source="elsewhere", collection="other", splits=(replace(split),))
    assert same.fingerprint == small.fingerprint


def test_a_data_set_of_several_splits_is_seen_by_one_of_them_by_name(small):
    several = replace(small, splits=tuple(folds(small)))
    second = several.on("fold1")
    assert np.array_equal(second.test.rows, several.splits[1].test)
    assert [split.name for split in second.splits] == ["fold1"]
    assert second.images is small.images
    assert second.fingerprint == several.fingerprint != small.fingerprint
    assert np.array_equal(several.train.rows, several.splits[0].train)
    tested = np.concatenate([several.on(split.name).test.rows for split in several.splits])
    assert sorted(tested) == list(range(len(small)))


def test_a_split_that_is_not_there_is_refused_with_those_that_are(small):
    several = replace(small, splits=tuple(folds(small)))
    with pytest.raises(HeadstartError, match=r"^small has no split 'fold3': fold0, fold1, fold2$"):
        several.on("fold3")


def test_other_splits_of_a_data_set_hash_no_image_again(small, monkeypatch):
    fingerprint = small.fingerprint
    monkeypatch.setattr("headstart.data.dataset.digest_of", lambda pixels: pytest.fail("an image was hashed again"))
    made = small.with_splits(*folds(small))
    assert (made.fingerprint, len(made.digests)) == (fingerprint, len(small))


def test_a_collection_is_the_same_before_and_after_photos_were_added(tmp_path):
    first = load(plant(tmp_path / "photos", {"cat": 5, "dog": 5}))
    (tmp_path / "photos" / "cat" / "more.png").write_bytes(encoded(picture(77), "PNG"))
    second = load(tmp_path / "photos")
    assert first.collection == second.collection
    assert first.fingerprint != second.fingerprint
    assert load(plant(tmp_path / "else" / "photos", {"cat": 5, "dog": 5})).collection != first.collection


@pytest.mark.parametrize("name", ["../../secret", "a/b", "a[1]", "two\nlines", "x" * 300, "...", "猫" * 90])
def test_a_collection_has_a_name_that_a_file_may_have(name):
    collection = collection_of(name, "here")
    assert collection.isprintable()
    assert not set("/\\*?[] \n") & set(collection)
    assert not collection.startswith(".")
    assert len(collection.encode()) < 200
    assert collection != collection_of(name, "there")
