"""The images that a run was tested on, loaded again from a folder of photos, after folds and with groups."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from small_data import CLASS_NAMES, coloured_part

import headstart as hs
from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.export import export
from headstart.inference.exported import Exported
from headstart.inference.tested import data_of, images_of
from headstart.inference.unsure import OUT_OF_FOLD
from headstart.results import runs
from headstart.results.comparison import chosen_run

GROUP = r"(patient\d+)"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of two folds, of photos of twenty patients."""
    photos = tmp_path_factory.mktemp("photos") / "colours"
    for number, (image, label) in enumerate(zip(*coloured_part(60, 32, 0), strict=True)):
        (photos / CLASS_NAMES[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(photos / CLASS_NAMES[label] / f"patient{number // 3}-{number}.png")
    options = {"folds": 2, "group": GROUP, "epochs": 8, "device": "cpu", "image_size": 32}
    return hs.compare(photos, ["base-cnn"], **options, output=tmp_path_factory.mktemp("runs") / "colours-1")


def test_the_images_of_a_fold_are_those_that_its_predictions_are_of(compared):
    for run in compared.runs:
        images, (logits, labels, names) = images_of(run, data_of(run)).images[:], run.predictions()
        brightest = images.mean(axis=(1, 2)).argmax(axis=1)
        assert np.array_equal(np.array(CLASS_NAMES)[brightest], np.array(names)[labels])
        assert np.array_equal(Classifier.load(run.folder).predict_proba(images).argmax(axis=1), logits.argmax(axis=1))


def test_no_patient_is_tested_by_the_network_that_learnt_from_them(compared):
    data = data_of(compared.runs[0])
    for split in data.splits:
        assert not set(data.groups[split.train]) & set(data.groups[split.test])


def test_what_is_taken_home_after_folds_is_exported_and_knows_what_is_unsure_by_them(compared):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    file = Exported(export(compared.folder))
    assert file.doubts.sureness[0].chosen_by == OUT_OF_FOLD
    assert file.doubts.sureness[0].test is None
    assert (file.doubts.limit.known, file.doubts.limit.false_flags) == (60, None)
    [image] = images_of(chosen_run(compared.folder), data_of(chosen_run(compared.folder))).images[:1]
    assert not file.probabilities(file.square(image)[None])[1]  # it was trained on this one
    assert compared.classifier == compared.folder / runs.CLASSIFIER


def test_they_are_found_at_another_place_but_not_where_a_photo_is_gone(compared, tmp_path):
    run, moved = compared.runs[0], tmp_path / "colours"
    shutil.copytree(compared.dataset["source"], moved)
    assert data_of(run, moved).fingerprint == run.config["dataset"]["fingerprint"]
    next(moved.glob("*/*.png")).unlink()
    with pytest.raises(HeadstartError, match=r"is not what .* was tested on"):
        data_of(run, moved)


def test_the_images_of_a_size_of_a_grouped_curve_are_found(compared, tmp_path):
    options = {"group": GROUP, "epochs": 1, "device": "cpu", "image_size": 32}
    curve = hs.learning_curve(compared.dataset["source"], [12, "all"], ["base-cnn"], **options, output=tmp_path / "c")
    run = curve.comparisons[12].runs[0]
    assert data_of(run).fingerprint == run.config["dataset"]["fingerprint"]
