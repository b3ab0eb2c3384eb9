from __future__ import annotations

import json

import numpy as np
import pytest

from headstart.evaluation.selective import Answered
from headstart.evaluation.statistics import accuracy_interval
from headstart.inference.answers import UNLIKE, UNSURE
from headstart.inference.doubt import Doubts
from headstart.inference.novelty import Limit
from headstart.inference.unsure import Sureness


def promise(asked, answered):
    """Of 200 images of val so many are answered, of 100 of test 40, of which 39 are right."""
    return Sureness(
        asked, asked / 2, "val", Answered(200, answered, None), Answered(100, 40, accuracy_interval(39, 40))
    )


@pytest.mark.parametrize(
    ("answered", "asked"),
    [
        ({0.9: 180, 0.95: 150, 0.99: 100}, 0.99),
        ({0.9: 180, 0.95: 150, 0.99: 99}, 0.95),
        ({0.9: 90, 0.95: 60}, 0.9),  # of all three too few are answered: the one that answers most
        ({0.8: 200, 0.97: 180}, None),  # none that a page asks can be promised
        ({}, None),
    ],
)
def test_a_page_asks_the_most_that_leaves_half_of_val_answered(answered, asked):
    found = Doubts(tuple(promise(*each) for each in answered.items())).of_page
    assert (found and found.asked) == asked


def test_what_a_file_keeps_is_read_back():
    known = Doubts((promise(0.9, 120), promise(0.95, 100)), Limit(0.25, 200, 0.015))
    assert Doubts.from_json(json.loads(json.dumps(known.as_json()))) == known
    assert Doubts.from_json({}) == Doubts()


def test_a_picture_is_doubted_by_what_is_known_alone():
    known = Doubts((promise(0.9, 120),), Limit(0.25, 200, 0.015))
    unsure, unlike = known.said[UNSURE], known.said[UNLIKE]
    assert unsure == "Unsure: below 45 %."
    assert known.of_picture(np.array([0.44, 0.3, 0.26]), True) == [unsure, unlike]
    assert known.of_picture(np.array([0.45, 0.3, 0.25]), False) == []
    assert Doubts().of_picture(np.array([0.34, 0.33, 0.33]), False) == []
    assert Doubts().facts == dict.fromkeys(("least", "farthest", "unsure", "unlike"))


def test_it_explains_what_test_says_of_its_doubts_and_nothing_that_is_not_known():
    sure, flagged = Doubts((promise(0.9, 120),), Limit(0.25, 200, 0.015)).explained
    assert sure == (
        "Answers below 45 % are marked unsure, so that of the others at least 90 % are right: on test pictures 97.5 %, "
        "of the 40.0 % that it answers."
    )
    assert flagged.endswith("falsely, 1.5 % of test pictures are.")
    assert Doubts().explained == []
