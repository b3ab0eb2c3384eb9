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
        assert set(data.labels[split.test]) == set(data.labels[split.train]) == {0, 1, 2}
        assert len(split.val)


def test_photos_that_are_added_move_no_other_to_another_fold_nor_into_val():
    before, after = (in_folds(photos(count=count), "5", 0) for count in (120, 123))
    for split, other in zip(before.splits, after.splits, strict=True):
        for part, rows in split.parts.items():
            assert rows.tolist() == [row for row in other.parts[part] if row < 120]


def test_a_group_is_tested_together_and_on_one_side_of_val_too():
    images, labels = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), dtype=np.uint8), np.arange(120) % 2
    data = in_folds(hs.from_arrays(images, labels, ("a", "b"), groups=np.arange(120) // 6), "5", 0)
    for split in data.splits:
        of_part = [set(rows // 6) for rows in split.parts.values()]
        assert sum(map(len, of_part)) == len(set.union(*of_part)) == 20


@pytest.mark.parametrize("count", [9, 12, 30])
def test_val_has_an_image_where_a_class_can_spare_one_and_training_has_every_class(count):
    for folds in ("2", "2x2"):
        for split in in_folds(photos(count=count), folds, 0).splits:
            can_spare = np.bincount(np.concatenate([split.train, split.val]) % 3).max() > 1
            assert bool(len(split.val)) == can_spare
            assert set(split.train % 3) == {0, 1, 2}


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
    with pytest.raises(
        HeadstartError, match=r"class 'a' has too few different images: 5, and 7 are needed \(for 7 folds\)"
    ):
        in_folds(photos(count=15), "7", 0)
