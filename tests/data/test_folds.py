from __future__ import annotations

import numpy as np
import pytest

import headstart as hs
from headstart.data.duplicates import find_duplicates, rows_of, together
from headstart.data.folds import in_folds
from headstart.errors import HeadstartError


def photos(count=60, copies=0, splits=None, size=16):
    """Noise of three classes; the first `copies` images of class 0 are there twice."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 256, (count, size, size, 3), dtype=np.uint8), np.arange(count) % 3
    again = np.flatnonzero(labels == 0)[:copies]
    images, labels = np.concatenate([images, images[again]]), np.concatenate([labels, labels[again]])
    return hs.from_arrays(images, labels, ("a", "b", "c"), splits=splits)


def test_every_image_is_tested_once_and_trains_nowhere_where_it_is_tested():
    data = in_folds(photos(), "auto", 0)
    assert [split.name for split in data.splits] == [f"fold{fold}" for fold in range(1, 6)]
    tested = np.concatenate([split.test for split in data.splits])
    assert sorted(tested) == list(range(60))
    for split in data.splits:
        assert sorted(np.concatenate([split.train, split.val, split.test])) == list(range(60))
        assert np.bincount(data.labels[split.test]).tolist() == [4, 4, 4]
        assert set(data.labels[split.train]) == {0, 1, 2}
        assert len(split.val) == 6


def test_copies_are_tested_together():
    data = in_folds(photos(copies=9), "5", 0)
    units = together(data, rows_of(data.whole, find_duplicates(data.whole)))
    assert len(np.unique(units)) == 60
    for split in data.splits:
        for part in (split.val, split.test):
            assert not set(units[part]) & set(units[np.setdiff1d(np.arange(len(data)), part)])


def test_folds_are_dealt_anew_in_each_round_and_the_same_for_the_same_seed():
    data = in_folds(photos(), "2x3", 0)
    assert [split.name for split in data.splits][:4] == ["round1-fold1", "round1-fold2", "round1-fold3", "round2-fold1"]
    assert set(data.splits[0].test) != set(data.splits[3].test)
    again = in_folds(photos(), "2x3", 0)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(data.splits, again.splits, strict=True))
    assert data.fingerprint == again.fingerprint != photos().fingerprint


def test_where_the_user_gives_a_test_split_it_stays():
    given = np.array(["train", "val", "test"])[np.arange(60) // 20]
    data = photos(splits=given)
    assert in_folds(data, "auto", 0) is data
    with pytest.raises(HeadstartError, match="has a test split of its own"):
        in_folds(data, "5", 0)


def test_a_val_that_the_user_gives_stays_and_is_never_tested():
    data = photos(splits=np.where(np.arange(60) < 12, "val", "train"))
    for split in in_folds(data, "auto", 0).splits:
        assert split.val.tolist() == list(range(12))
        assert not set(split.test) & set(range(12))


def test_none_is_one_split():
    data = photos()
    assert in_folds(data, "none", 0) is data


def test_a_class_with_too_few_images_for_the_folds_is_named():
    with pytest.raises(HeadstartError, match=r"class 'a' has 5 different images, too few for 7 folds"):
        in_folds(photos(count=15), "7", 0)
