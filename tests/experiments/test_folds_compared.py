"""A comparison of few images, from folds to the classifier that one takes home."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_data import CLASS_NAMES, coloured_part

import headstart as hs
from headstart.report.words import folded
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.verification import verify

OPTIONS = {"strategies": ["base-cnn", "frozen"], "backbone": "tf_efficientnet_lite0.in1k", "image_size": 32}
OPTIONS |= {"epochs": 4, "offline": True, "device": "cpu"}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    images, labels = coloured_part(60, 32, 0)
    data = hs.from_arrays(images, labels, CLASS_NAMES, name="few")
    return hs.compare(data, **OPTIONS, output=tmp_path_factory.mktemp("folds") / "out"), data


def test_each_image_is_tested_once_by_each_candidate_that_is_left(compared):
    comparison, data = compared
    assert comparison.folds == 5 and comparison.is_complete
    for name, (only,) in comparison.passes.items():
        assert only.is_whole == (name not in comparison.dropped)
        if only.is_whole:
            assert np.array_equal(only.labels, data.labels)
            assert np.sum(only.metrics["confusion_matrix"]) == len(data)
            assert comparison.table().loc[name, "accuracy"] == pytest.approx(
                (only.logits.argmax(axis=1) == data.labels).mean()
            )


def test_the_classifier_to_take_home_is_trained_on_all_and_loads(compared):
    comparison, data = compared
    config = runs.Run(comparison.classifier).config
    assert comparison.classifier.name == runs.CLASSIFIER
    assert (config["dataset"]["train"], config["dataset"]["val"], config["dataset"]["test"]) == (60, 0, 0)
    assert set(comparison.best.predict(data.images[:4])) <= set(CLASS_NAMES)
    said = (comparison.folder / runs.CARD).read_text(encoding="utf-8")
    for line in folded(comparison):
        assert line[:12] in said
    assert "split: cross-validation" in said
    assert any("To take home" in line for line in folded(comparison))


def test_a_finished_folder_is_verified_and_resumed_without_training(compared):
    comparison, data = compared
    assert verify(comparison.folder) == []
    before = [path.stat().st_mtime_ns for path in (comparison.classifier, comparison.folder / runs.REPORT)]
    again = hs.compare(data, **OPTIONS, output=comparison.folder)
    assert again.recommended == comparison.recommended
    assert [path.stat().st_mtime_ns for path in (comparison.classifier, comparison.folder / runs.REPORT)] == before


def test_the_score_that_decides_can_be_another_one_afterwards(compared):
    comparison, _ = compared
    other = compare_runs(comparison.folder, metric="balanced-accuracy", margin=0.05)
    assert other.verdict.asked == {"prefer": "accuracy", "metric": "balanced-accuracy", "margin": 0.05}
    json.dumps(other.verdict.as_json())


def test_folds_of_so_few_images_that_no_class_can_spare_one_for_val(tmp_path):
    """Whatever of a fold's network val would have chosen is left as it is, and the last epoch counts."""
    images, labels = coloured_part(9, 16, 1)
    data = hs.from_arrays(images, labels, CLASS_NAMES, name="fewest")
    comparison = hs.compare(data, strategies=["base-cnn"], folds="2", epochs=2, device="cpu", output=tmp_path / "out")
    assert any(run.config["dataset"]["val"] == 0 for run in comparison.runs)
    assert comparison.is_complete and verify(comparison.folder) == []
    assert json.loads((comparison.classifier / runs.CONFIG).read_text())["plan"] == "base-cnn=2"


def test_a_split_without_a_test_is_refused(tmp_path):
    images, labels = coloured_part(12, 16, 1)
    data = hs.from_arrays(images, labels, CLASS_NAMES, name="untested")
    rows = np.arange(12)
    with pytest.raises(hs.HeadstartError, match="its split 'mine' has no image in test"):
        hs.compare(data.with_splits(hs.Split("mine", rows[:9], rows[9:], rows[:0])), output=tmp_path / "out")
