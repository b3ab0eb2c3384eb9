from __future__ import annotations

import numpy as np

import headstart as hs
from headstart.data.summary import WIDTH, summary

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 16, 20, 3), np.uint8)


def test_arrays_are_told_of_in_a_few_lines():
    dataset = hs.from_arrays(IMAGES, np.arange(60) % 2, ["cat", "dog"], name="pets")
    assert summary(dataset) == [
        "pets: 60 images in 2 classes, from arrays in memory",
        "  classes   cat: 30, dog: 30",
        "  labels    the labels that were given",
        "  splits    train 46, val 7, test 7 (val and test set aside here, as none was given)".replace(
            "was given)", "was\n            given)"
        ),
        "  images    20 x 20 pixels",
    ]


def test_of_many_classes_the_largest_and_the_smallest_are_named():
    labels = np.repeat(np.arange(15), 4)
    names = [f"class {label} of a name that is longer than others" for label in range(15)]
    lines = "\n".join(summary(hs.from_arrays(IMAGES, labels, names))).splitlines()
    assert any("… 3 more …" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH
