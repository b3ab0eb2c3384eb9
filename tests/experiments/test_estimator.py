from __future__ import annotations

import os
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator
from small_data import coloured_part

import headstart as hs
from headstart.models import backbones
from headstart.runtime.download import DownloadError

QUICK = {"strategy": "base-cnn", "image_size": 32, "device": "cpu"}
IMAGES, COLOURS = coloured_part(48, 32, 0)
NAMES = np.array(["red", "green", "blue"])[COLOURS]

# What scikit-learn asks of every estimator, and not of this one: docs/decisions/estimator.md says the same.
LEFT_OUT = {
    "check_array_api_input": "images are no arrays of another library",
    "check_classifier_data_not_an_array": "its two classes hold points so near that their pictures are copies",
    "check_classifiers_one_label": "one class is refused by a HeadstartError, which is no ValueError",
    "check_classifiers_train": "points are learnt in a few steps, pictures of them are not; no number of features",
    "check_fit2d_1sample": "one image is refused by a HeadstartError, which is no ValueError",
}


class OfPoints(hs.HeadstartClassifier):
    """The estimator, given points (N, F) as scikit-learn's checks have them: each is made a picture."""

    def fit(self, X, y=None):  # noqa: N803
        return super().fit(self.pictures(X), y)

    def predict_proba(self, X):  # noqa: N803
        return super().predict_proba(self.pictures(X))

    def pictures(self, points):
        if hasattr(points, "toarray"):
            raise TypeError("pictures of a sparse array: make it dense")
        grey = 255 * (np.asarray(points, dtype=float) + 10).clip(0, 20) / 20
        return np.array([np.resize(row, (8, 8)) for row in grey]).astype(np.uint8)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


CHECKS = [
    pytest.param(estimator, check, id=check.func.__name__)
    for estimator, check in estimator_checks_generator(OfPoints(**QUICK, epochs=1))
    if check.func.__name__ not in LEFT_OUT
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


def test_what_is_left_out_is_a_check_of_scikit_learns_and_is_told_in_the_docs():
    page = Path(hs.__file__).parents[1].joinpath("docs", "decisions", "estimator.md").read_text(encoding="utf-8")
    known = {check.func.__name__ for _, check in estimator_checks_generator(OfPoints(**QUICK))}
    assert known >= LEFT_OUT.keys()
    assert set(re.findall(r"check_\w+", page)) == set(LEFT_OUT)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos of mixed sizes, 10 of each of two classes."""
    folder = tmp_path_factory.mktemp("all") / "photos"
    for number, (image, label) in enumerate(zip(*coloured_part(30, 64, 1), strict=True)):
        if label < 2:
            place = folder / ("red", "green")[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[: 64 - number % 3, : 40 + number % 20]).save(place / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def fitted():
    return hs.HeadstartClassifier(**QUICK, epochs=8).fit(IMAGES, NAMES)


def test_the_readme_cross_validates_it(photos, monkeypatch, capsys):
    readme = Path(hs.__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (block,) = [text for text in re.findall(r"```python\n(.*?)```", readme, re.S) if "cross_val_score" in text]
    assert "cross_val_score(hs.HeadstartClassifier(), paths, labels)" in block

    def no_network(*_):
        raise DownloadError("no network in tests")

    monkeypatch.setattr(backbones, "fetch", no_network)  # `auto` then takes the weights that come with the installation
    monkeypatch.chdir(photos.parent)
    said = {"hs": hs}
    exec(block, said)
    scores = said["scores"]
    assert scores.shape == (5,)
    assert scores.mean() > 0.8
    assert "".join(capsys.readouterr()) == ""


def test_labels_come_back_as_they_were_given_and_probabilities_in_their_order(fitted):
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    probabilities = fitted.predict_proba(IMAGES)
    assert probabilities.shape == (48, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(fitted.predict(IMAGES), fitted.classes_[probabilities.argmax(axis=1)])
    assert fitted.score(*coloured_part(30, 32, 9)[:1], np.array(["red", "green", "blue"] * 10)) > 0.8
    numbers = hs.HeadstartClassifier(**QUICK, epochs=1).fit(IMAGES, 10 * COLOURS)
    assert set(numbers.predict(IMAGES)) <= {0, 10, 20}
    assert not hasattr(fitted, "n_features_in_")


def test_files_pictures_and_arrays_of_mixed_sizes_are_the_same_images(photos, tmp_path):
    files = sorted(photos.glob("*/*.jpg"))
    labels = [file.parent.name for file in files]
    pictures = [Image.open(file).convert("RGB") for file in files]
    arrays = [np.asarray(picture) for picture in pictures]
    said = [
        hs.HeadstartClassifier(**QUICK, epochs=2).fit(given, labels).predict_proba(given)
        for given in (pictures, arrays, [*pictures[:10], *arrays[10:]])
    ]
    assert all(np.array_equal(said[0], other) for other in said)
    of_files = hs.HeadstartClassifier(**QUICK, epochs=2).fit(np.array(files, dtype=str), labels)
    assert of_files.config_["sides"] == [32]
    np.testing.assert_allclose(of_files.predict_proba(files), of_files.predict_proba(arrays), atol=1e-6)


def test_a_pickle_has_no_network_in_it_and_predicts_the_same(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    assert b"torch" not in content
    assert fitted.classifier_.weights in content
    again = joblib.load(tmp_path / "model")
    assert np.array_equal(again.predict_proba(IMAGES), fitted.predict_proba(IMAGES))
    assert clone(again).get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(again).predict(IMAGES)


def test_a_search_over_strategy_and_image_size_names_the_best():
    grid = {"strategy": ["base-cnn", "deep-cnn"], "image_size": np.array([32, 40])}
    estimator = hs.HeadstartClassifier(epochs=1, device="cpu")
    found = GridSearchCV(estimator, grid, cv=2, error_score="raise").fit(IMAGES, NAMES)
    assert found.best_params_["strategy"] in grid["strategy"]
    assert found.predict(IMAGES[:3]).shape == (3,)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


def test_it_is_a_part_of_pipelines_votes_and_calibration(fitted):
    first, other = (hs.HeadstartClassifier(**QUICK, epochs=6, seed=seed) for seed in (0, 1))
    vote = VotingClassifier([("first", first), ("other", other)], voting="soft").fit(IMAGES, NAMES)
    mean = np.mean([each.predict_proba(IMAGES) for each in vote.estimators_], axis=0)
    np.testing.assert_allclose(vote.predict_proba(IMAGES), mean, atol=1e-6)
    turned = make_pipeline(FunctionTransformer(np.flip, kw_args={"axis": 1}), first).fit(IMAGES, NAMES)
    assert turned.score(IMAGES, NAMES) > 0.8
    sure = CalibratedClassifierCV(first, cv=2).fit(IMAGES, NAMES)
    np.testing.assert_allclose(sure.predict_proba(IMAGES).sum(axis=1), 1, atol=1e-6)


def test_two_processes_give_the_same_scores_as_one():
    estimator = hs.HeadstartClassifier(**QUICK, epochs=4)
    scores = [cross_val_score(estimator, IMAGES, NAMES, cv=2, n_jobs=jobs) for jobs in (1, 2)]
    np.testing.assert_allclose(*scores, atol=0.1)  # with fewer threads sums are taken in another order


def test_with_verbose_it_says_what_it_does(capsys):
    hs.HeadstartClassifier(**QUICK, epochs=1, verbose=True).fit(IMAGES, NAMES)
    assert "base-cnn epoch 1: loss" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("parameters", "images", "labels", "said"),
    [
        ({"strategy": "last21"}, IMAGES, NAMES, "unknown strategy 'last21': did you mean 'last20'?"),
        ({"strategy": ["frozen", "full"]}, IMAGES, NAMES, "strategy: .* is not a text"),
        ({"image_size": 8}, IMAGES, NAMES, "image_size: 8 is not a whole number of 32 or more"),
        ({"into_square": "tile"}, IMAGES, NAMES, "fit: 'tile' is none of stretch, crop, letterbox"),
        ({}, IMAGES[0], NAMES[:1], "X is one image: put it into a list"),
        ({}, IMAGES[:4], ["red"] * 4, "y has 1 class: there must be two or more"),
        ({}, [*IMAGES[:3], np.zeros((4, 4, 7))], NAMES[:4], "image 3 of 4: an image is .* got"),
        (
            {},
            ["nowhere.jpg", "none.jpg"],
            ["a", "b"],
            "2 images of 2 cannot be read: none.jpg: no such|2 images of 2 .*",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_line(parameters, images, labels, said):
    with pytest.raises(hs.HeadstartError, match=said):
        hs.HeadstartClassifier(**QUICK | {"epochs": 1} | parameters).fit(images, labels)


def test_fewer_images_than_a_val_takes_are_trained_on_whole():
    found = hs.HeadstartClassifier(**QUICK, epochs=1).fit(IMAGES[:3], NAMES[:3])
    assert (found.config_["dataset"]["train"], found.config_["dataset"]["val"]) == (3, 0)
    assert found.classifier_.temperature == 1


def test_what_it_changes_of_the_process_is_put_back(fitted):
    before = os.environ.copy()
    hs.HeadstartClassifier(**QUICK, epochs=1).fit(IMAGES, NAMES)
    assert os.environ == before
