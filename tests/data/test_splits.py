from hashlib import sha256

import numpy as np
import pytest

from headstart.data.splits import stratified
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
