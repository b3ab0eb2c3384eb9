from __future__ import annotations

import numpy as np
import pytest

from headstart.data.dataset import Dataset, Split
from headstart.data.labels import checked, classes_of, name_of, split_named
from headstart.errors import HeadstartError


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("train", "train Train TRAINING training_set trainset seg_train train-images train2017 _train_ train_data"),
        ("val", "val valid Validation dev val2017 validation_set seg_val"),
        ("test", "test Testing test_set testset seg_test TEST-IMAGES test.images"),
        (None, "tester trainer trains tests devil validity trainval test2 attest evaluation '' seg"),
    ],
)
def test_splits_are_known_in_the_usual_spellings_and_no_others(part, words):
    assert {split_named(word) for word in words.split()} == {part}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (" cat\n", "cat"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufeffcat", "cat"),
        ("NaN", ""),
        (" ", ""),
        ("NA", "NA"),
        ("None", "None"),
    ],
)
def test_a_class_has_one_name_however_it_is_spelled(spelling, name):
    assert name_of(spelling) == name


def test_what_is_told_apart_by_a_reader_stays_apart():
    names, found = classes_of(["1", "01", "1.5", "cat", "cats", "Cat"])
    assert len(set(names.values())) == 6
    assert [finding.kind for finding in found] == ["classes alike"]


def dataset_of(labels, class_names, train):
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    rows = np.arange(len(labels))
    split = Split("holdout", rows[:train], rows[train : train + 2], rows[train + 2 :])
    return Dataset("mine", images, np.array(labels), tuple(class_names), (split,), "memory", "mine")


@pytest.mark.parametrize(
    ("labels", "class_names", "said"),
    [
        ([0, 1, 0, 1, 0, 0], "ab", "mine: test has no image of class 'b'"),
        ([0, 1, 0, 1, 0, 2], "ab", "mine: labels must be indices into its 2 class names"),
        ([0, 1, 0, 1, 0, 1], ["a", "a "], "two classes are called 'a'"),
        ([0, 0, 0, 0, 0, 0], ["a"], "one class, 'a', found"),
    ],
)
def test_a_data_set_made_by_hand_is_held_to_the_same_rules(labels, class_names, said):
    with pytest.raises(HeadstartError, match=said):
        checked(dataset_of(labels, class_names, 2))
