from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.splits import cut_missing, nested_order, stratified
from headstart.errors import HeadstartError

LABELS = np.random.default_rng(0).permutation(np.arange(50_000) % 10)


def test_both_sides_have_equal_class_shares():
    rest, chosen = stratified(LABELS, 5_000, seed=0)
    assert np.bincount(LABELS[rest]).tolist() == [4_500] * 10
    assert np.bincount(LABELS[chosen]).tolist() == [500] * 10


def test_the_sides_are_sorted_disjoint_and_complete():
    rest, chosen = stratified(LABELS, 5_000, seed=0)
    assert (np.diff(rest) > 0).all() and (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, chosen])), np.arange(50_000))


def test_another_seed_chooses_others():
    assert (stratified(LABELS, 5_000, seed=0)[1] != stratified(LABELS, 5_000, seed=1)[1]).any()


def test_the_choice_is_the_same_in_any_process_and_version():
    """A number written down: results that were paired on one split must not come apart with an upgrade."""
    _, chosen = stratified(np.arange(1_000) % 10, 100, seed=0)
    assert sha256(chosen.astype("<i8").tobytes()).hexdigest()[:16] == "230bf71925dc1375"


@pytest.mark.parametrize("size", [0, 9, 49_991, 50_000])
def test_a_side_without_some_class_is_refused(size: int):
    with pytest.raises(HeadstartError, match="each class needs an image on both sides"):
        stratified(LABELS, size, seed=0)


def test_a_class_with_a_single_image_is_refused():
    with pytest.raises(HeadstartError, match="class 2 has a single image"):
        stratified(np.array([0, 0, 1, 1, 2]), 2, seed=0)


@given(counts=st.lists(st.integers(1, 300), min_size=2, max_size=12), seed=st.integers(0, 5), data=st.data())
def test_every_beginning_of_the_nested_order_has_every_class_by_its_share(counts, seed, data):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order = nested_order(labels, seed)
    size = data.draw(st.integers(len(counts), len(labels)))
    held = np.bincount(labels[order[:size]], minlength=len(counts))
    assert sorted(order) == list(range(len(labels)))
    assert (held >= 1).all()
    shares = size * np.array(counts) / len(labels)
    assert (held <= np.maximum(shares + 1, 1)).all()
    assert (held >= shares - len(counts)).all()  # one of each class comes first, at the cost of the others


def test_the_nested_order_is_the_same_in_any_process_and_version():
    order = nested_order(np.arange(1_000) % 10, seed=0)
    assert sha256(order.astype("<i8").tobytes()).hexdigest()[:16] == "36852eefba4843c8"


def test_another_seed_nests_others():
    assert set(nested_order(LABELS, 0)[:100]) != set(nested_order(LABELS, 1)[:100])


NAMES = ("a", "b", "c")


def cut(splits, labels, contents, seed=0):
    contents = np.array([f"picture {content}" for content in contents])
    return cut_missing(np.array(splits, dtype="<U5"), np.array(labels), contents, seed, NAMES)


@given(
    counts=st.tuples(*[st.integers(3, 40)] * 3),
    copies=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_every_split_has_every_class_and_identical_images_stay_together(counts, copies, seed):
    labels = np.repeat(np.repeat(np.arange(3), counts), copies)
    contents = np.repeat(np.arange(sum(counts)), copies)
    splits = cut([""] * len(labels), labels, contents, seed)
    for name in ("train", "val", "test"):
        assert set(labels[splits == name]) == {0, 1, 2}
    assert all(len(set(splits[contents == content])) == 1 for content in set(contents))
    assert np.array_equal(splits, cut([""] * len(labels), labels, contents, seed))


def test_missing_splits_are_cut_from_train_and_given_ones_stay():
    labels = np.tile(np.arange(3), 40)
    given_splits = np.array(["train"] * 90 + ["test"] * 30)
    splits = cut(given_splits, labels, np.arange(120))
    assert (splits[90:] == "test").all()
    assert (splits[:90] == "val").sum() == 9
    assert (splits[:90] == "train").sum() == 81


def test_a_class_with_too_few_different_images_is_told_with_the_number_needed():
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(HeadstartError, match="class 'c' has too few different images: 2, and 3 are needed"):
        cut([""] * 9, labels, [0, 1, 2, 3, 4, 5, 6, 7, 7])
