from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.dataset import Dataset
from headstart.data.splits import cut_missing, nested_order, placed, stratified
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


CONTENTS = np.array([f"picture {row}" for row in range(50_000)])


@given(counts=st.lists(st.integers(1, 300), min_size=2, max_size=12), seed=st.integers(0, 5), data=st.data())
def test_every_beginning_of_the_nested_order_has_every_class_by_its_share(counts, seed, data):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    order = nested_order(labels, CONTENTS[: len(labels)], seed)
    size = data.draw(st.integers(len(counts), len(labels)))
    held = np.bincount(labels[order[:size]], minlength=len(counts))
    assert sorted(order) == list(range(len(labels)))
    assert (held >= 1).all()
    shares = size * np.array(counts) / len(labels)
    assert (held <= np.maximum(shares + 1, 1)).all()
    assert (held >= shares - len(counts)).all()  # one of each class comes first, at the cost of the others


def test_the_nested_order_is_the_same_in_any_process_and_version():
    order = nested_order(np.arange(1_000) % 10, CONTENTS[:1_000], seed=0)
    assert sha256(order.astype("<i8").tobytes()).hexdigest()[:16] == "5e54fbba044b0119"


def test_one_image_more_changes_a_beginning_of_the_nested_order_by_two_at_most():
    labels = np.arange(301) % 3
    before, after = (set(nested_order(labels[:n], CONTENTS[:n], 0)[:100].tolist()) for n in (300, 301))
    assert len(before - after) <= 2


def test_another_seed_nests_others():
    first, second = (set(nested_order(LABELS, CONTENTS, seed)[:100].tolist()) for seed in (0, 1))
    assert first != second


NAMES = ("a", "b", "c")
THIRDS = (1 / 3, 1 / 3, 1 / 3)


def units(count, copies=1):
    return np.repeat([f"unit {number}" for number in range(count)], copies)


@given(
    counts=st.tuples(*[st.integers(3, 40)] * 3),
    copies=st.integers(1, 4),
    salt=st.sampled_from("abcdef"),
    shares=st.sampled_from([THIRDS, (0.15, 0.1, 0.75), (0.5, 0.5)]),
)
def test_every_part_has_every_class_and_units_stay_together(counts, copies, salt, shares):
    labels, of_unit = np.repeat(np.repeat(np.arange(3), counts), copies), units(sum(counts), copies)
    part_of = placed(of_unit, labels, shares, salt, NAMES)
    for part in range(len(shares)):
        assert set(labels[part_of == part]) == {0, 1, 2}
    assert all(len(set(part_of[of_unit == unit])) == 1 for unit in set(of_unit))


@given(added=st.lists(st.integers(0, 2), max_size=30), salt=st.sampled_from("abcdef"))
def test_images_that_are_added_move_none_of_the_others(added, salt):
    labels = np.arange(300) % 3
    before = placed(units(300), labels, (0.15, 0.1, 0.75), salt, NAMES)
    after = placed(units(300 + len(added)), np.concatenate([labels, added]).astype(int), (0.15, 0.1, 0.75), salt, NAMES)
    assert np.array_equal(before, after[:300])


def test_the_order_of_images_does_not_matter():
    labels, order = np.arange(90) % 3, np.random.default_rng(0).permutation(90)
    part_of = placed(units(90), labels, THIRDS, "0", NAMES)
    assert np.array_equal(part_of[order], placed(units(90)[order], labels[order], THIRDS, "0", NAMES))


def test_parts_get_their_shares_and_another_salt_gives_others():
    labels = np.arange(10_000) % 3
    first, second = (placed(units(10_000), labels, (0.15, 0.1, 0.75), salt, NAMES) for salt in "ab")
    np.testing.assert_allclose(np.bincount(first) / 10_000, (0.15, 0.1, 0.75), atol=0.015)
    assert (first == second).mean() == pytest.approx(0.15**2 + 0.1**2 + 0.75**2, abs=0.03)


def test_where_an_image_falls_is_the_same_in_any_process_and_version():
    part_of = placed(CONTENTS[:1_000], np.arange(1_000) % 10, (0.15, 0.1, 0.75), "0", tuple("abcdefghij"))
    assert sha256(part_of.astype("<i8").tobytes()).hexdigest()[:16] == "b7e67f39079ef8d8"


@pytest.mark.parametrize("salt", range(20))
def test_a_class_with_fewer_units_than_parts_is_in_as_many_as_it_has(salt):
    labels = np.array([0, 0, 1, 1, 1, *[2] * 40])
    part_of = placed(units(45), labels, [0.2] * 5, str(salt), NAMES)
    assert [len(set(part_of[labels == label])) for label in range(3)] == [2, 3, 5]


@pytest.mark.parametrize("salt", range(20))
def test_units_of_several_classes_are_shared_out_so_that_every_part_has_every_class(salt):
    labels = np.tile([0, 0, 1, 1, 2, 2], 6)
    part_of = placed(units(12, copies=3), labels, THIRDS, str(salt), NAMES)
    assert all(set(labels[part_of == part]) == {0, 1, 2} for part in range(3))


def test_units_that_cannot_be_shared_out_are_refused_with_the_class():
    labels, of_unit = np.array([0, 1, 0, 2, 1, 2]), units(3, copies=2)  # each class in two of three units
    with pytest.raises(HeadstartError, match=r"images of class '.' are in groups that also hold other classes"):
        placed(of_unit, labels, (0.5, 0.5), "0", NAMES, least=1)


def noise(labels, contents=None, groups=None):
    """Images, alike where `contents` says so, that nobody split."""
    pictures = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    images = pictures[np.arange(len(labels)) if contents is None else contents]
    about = (np.array(labels), NAMES, (), "made by the tests", "noise")
    return Dataset("noise", images, *about, groups=groups)


def test_missing_splits_are_cut_from_train_and_given_ones_stay():
    data = cut_missing(noise(np.tile(np.arange(3), 100)), np.array(["train"] * 270 + ["test"] * 30), 0)
    assert data.cut == ("val",)
    assert data.test.rows.tolist() == list(range(270, 300))
    assert 15 < len(data.val) < 40 and len(data.val) + len(data.train) == 270


def test_a_hold_out_keeps_copies_and_groups_on_one_side():
    labels, twice = np.tile(np.arange(3), 40), np.repeat(np.arange(60), 2)
    copies = cut_missing(noise(np.sort(labels), contents=twice), np.array([""] * 120), 0)
    grouped = cut_missing(noise(labels, groups=np.repeat(units(20), 6)), np.array([""] * 120), 0)
    for data, together in ((copies, twice), (grouped, np.repeat(np.arange(20), 6))):
        of_part = [set(together[part.rows]) for part in data.parts.values()]
        assert sum(map(len, of_part)) == len(set.union(*of_part))


def test_a_class_with_too_few_different_images_is_told_with_the_number_needed():
    data = noise([0, 0, 0, 1, 1, 1, 2, 2, 2], contents=[0, 1, 2, 3, 4, 5, 6, 7, 7])
    with pytest.raises(HeadstartError, match="class 'c' has too few different images: 2, and 3 are needed"):
        cut_missing(data, np.array([""] * 9), 0)
    data = noise([0, 0, 0, 1, 1, 1, 2, 2, 2], groups=np.array([*"abcdefghh"]))
    with pytest.raises(HeadstartError, match="class 'c' has too few groups: 2, and 3 are needed"):
        cut_missing(data, np.array([""] * 9), 0)
