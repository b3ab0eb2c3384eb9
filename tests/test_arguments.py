"""Whoever gives Python something of another type reads a HeadstartError that names the argument."""

from __future__ import annotations

import numpy as np
import pytest

import headstart as hs
from headstart.models import build
from headstart.results.comparison import compare_runs
from headstart.results.learning_curve import read_curve

IMAGES, LABELS, NAMES = np.zeros((60, 32, 32, 3), np.uint8), np.arange(60) % 2, ("a", "b")


def classifier() -> hs.Classifier:
    network, _ = build.from_scratch("base-cnn", IMAGES, 2)
    return hs.Classifier(network, NAMES, (32,))


CALLS = {  # a call with one argument wrong: the words that its message begins with
    "load(None)": (lambda: hs.load(None), "data: None is not a path"),
    "load(3)": (lambda: hs.load(3), "data: 3 is not a path"),
    "load(a null byte)": (lambda: hs.load("a\0b"), "data: 'a\\x00b' is not a path"),
    "load(data_dir=3)": (lambda: hs.load("cifar10", data_dir=3), "data_dir: 3 is not a path"),
    "load(image_size=text)": (lambda: hs.load("cifar10", image_size="big"), "image_size: 'big' is not a whole number"),
    "load(train_limit=text)": (lambda: hs.load("cifar10", train_limit="x"), "train_limit: 'x' is not a whole number"),
    "load(max_bad=None)": (lambda: hs.load("cifar10", max_bad="all"), "max_bad: 'all' is not a share"),
    "load(offline=1)": (lambda: hs.load("cifar10", offline=1), "offline: 1 is neither True nor False"),
    "load(split_seed=text)": (lambda: hs.load("cifar10", split_seed="x"), "split_seed: 'x' is not a whole number"),
    "check(3)": (lambda: hs.check(3), "data: 3 is not a path"),
    "show(3)": (lambda: hs.show(3, "x.png"), "data: int is no data set"),
    "compare(data=3)": (lambda: hs.compare(3), "data: 3 is no data set"),
    "compare(data=None)": (lambda: hs.compare(None), "data: None is no data set"),
    "compare(data=a function of nothing)": (
        lambda: hs.compare(lambda: None, strategies="base-cnn"),
        "data: the function gave no data set, but a NoneType",
    ),
    "compare(strategies=3)": (lambda: hs.compare("cifar10", 3), "strategies: 3 is neither a name nor several"),
    "compare(strategies=[3])": (lambda: hs.compare("cifar10", [3]), "strategies: [3] is not a text"),
    "compare(epochs=text)": (lambda: hs.compare("cifar10", epochs="x"), "epochs: 'x' is not a whole number"),
    "compare(output=3)": (lambda: hs.compare("cifar10", output=3), "output: 3 is not a path"),
    "compare(seed=None in a list)": (lambda: hs.compare("cifar10", seed=[None]), "seed: [None] is not a whole number"),
    "learning_curve(sizes=text)": (lambda: hs.learning_curve("cifar10", "abc"), "sizes: 'abc' is not several numbers"),
    "learning_curve(sizes=3)": (lambda: hs.learning_curve("cifar10", 3), "sizes: 3 is not several numbers"),
    "learning_curve(sizes=[None])": (
        lambda: hs.learning_curve("cifar10", [None, 3]),
        "sizes: [None, 3] is not a whole",
    ),
    "learning_curve(data=3)": (lambda: hs.learning_curve(3, [30, 60]), "data: 3 is no data set"),
    "Classifier.load(3)": (lambda: hs.Classifier.load(3), "folder: 3 is not a path"),
    "Classifier.load(None)": (lambda: hs.Classifier.load(None), "folder: None is not a path"),
    "predict(5)": (lambda: classifier().predict(5), "images: 5 is neither a file"),
    "predict(None)": (lambda: classifier().predict(None), "images: None is neither a file"),
    "predict([None])": (lambda: classifier().predict([None]), "pixels are integers"),
    "from_arrays(images=None)": (lambda: hs.from_arrays(None, LABELS, NAMES), "images must be uint8"),
    "from_arrays(labels=None)": (lambda: hs.from_arrays(IMAGES, None, NAMES), "labels must be 60 integers"),
    "from_arrays(labels=text)": (lambda: hs.from_arrays(IMAGES, "abc", NAMES), "labels must be 60 integers"),
    "from_arrays(class_names=3)": (
        lambda: hs.from_arrays(IMAGES, LABELS, 3),
        "class_names must be a list of texts; got int",
    ),
    "from_arrays(class_names=text)": (
        lambda: hs.from_arrays(IMAGES, LABELS, "ab"),
        "class_names must be a list of texts; got str",
    ),
    "from_arrays(class_names=[1])": (
        lambda: hs.from_arrays(IMAGES, LABELS, [1, 2]),
        "class_names must be texts; got 1 (int)",
    ),
    "from_arrays(splits=3)": (lambda: hs.from_arrays(IMAGES, LABELS, NAMES, splits=3), "splits must be 60 words"),
    "from_arrays(name=3)": (lambda: hs.from_arrays(IMAGES, LABELS, NAMES, name=3), "name: 3 is not a text"),
    "compare_runs(3)": (lambda: compare_runs(3), "folder: 3 is not a path"),
    "read_curve(None)": (lambda: read_curve(None), "folder: None is not a path"),
    "figures.curves(3)": (lambda: hs.figures.curves(3), "comparison: int is no Comparison"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_type_is_a_headstart_error_that_names_the_argument(call, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made, said = CALLS[call]
    with pytest.raises(hs.HeadstartError) as error:
        made()
    assert str(error.value).startswith(said)
    assert list(tmp_path.iterdir()) == []
