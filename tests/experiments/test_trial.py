from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.errors import HeadstartError
from headstart.experiments import trial as trials
from headstart.experiments.runner import in_order
from headstart.experiments.trial import Setting, Trial, run_trial, weights_of
from headstart.inference import agreement
from headstart.models.backbones import load_backbone
from headstart.results.files import write_json
from headstart.results.runs import CONFIG
from headstart.strategies import candidates_of, with_epochs
from headstart.training import fit as training

LITE0 = "tf_efficientnet_lite0.in1k"


def trial_of(folder, name="base-cnn", seed=0, weights=None, epochs=1):
    (candidate,) = candidates_of([with_epochs(hs.STRATEGIES[name], epochs)], [weights])
    shares = () if weights is None else (candidate.strategy.frozen_share,)
    return Trial(candidate, "holdout", seed, Setting(folder, "cpu", None, shares))


def test_a_trial_is_a_plain_record(tmp_path):
    one, other = trial_of(tmp_path), trial_of(tmp_path, seed=1)
    assert pickle.loads(pickle.dumps(one)) == one == trial_of(tmp_path)
    assert one != other
    assert len({one, trial_of(tmp_path), other}) == 2
    assert one.folder == tmp_path / "base-cnn" / "holdout-seed0"


def test_another_process_needs_nothing_but_the_trial_and_the_data(tiny, tmp_path):
    here = run_trial(trial_of(tmp_path / "here"), tiny)
    there = trial_of(tmp_path / "there")
    (tmp_path / "trial").write_bytes(pickle.dumps((there, tiny)))
    code = "import pickle, sys; from headstart.experiments.trial import *; run_trial(*pickle.load(sys.stdin.buffer))"
    with (tmp_path / "trial").open("rb") as file:
        subprocess.run([sys.executable, "-c", code], stdin=file, check=True, capture_output=True)
    assert here.model.read_bytes() == (there.folder / "model.safetensors").read_bytes()


def test_weights_other_than_those_it_began_with_are_refused(tiny, tmp_path):
    weights = weights_of(load_backbone(LITE0, 64, offline=True), None, True)
    trial = trial_of(tmp_path, "frozen", weights=replace(weights, sha256="0" * 64))
    with pytest.raises(HeadstartError, match="this comparison began with 000000000000"):
        run_trial(trial, tiny)


def test_a_split_that_the_data_lacks_is_refused(tiny, tmp_path):
    with pytest.raises(HeadstartError, match="tiny has no split 'fold1': holdout"):
        run_trial(replace(trial_of(tmp_path), split="fold1"), tiny)


def test_the_quickest_candidates_of_a_seed_run_first(tmp_path):
    asked = [trial_of(tmp_path, name, seed) for seed in (7, 1) for name in ("last20", "base-cnn", "deep-cnn")]
    seconds = {"last20": 30.0, "base-cnn": 10.0}
    asked = [replace(each, seconds=seconds.get(each.candidate.name, math.inf)) for each in asked]
    names = ("base-cnn", "last20", "deep-cnn")
    assert [each.name for each in in_order(asked)] == [
        f"{name}/holdout-seed{seed}" for seed in (7, 1) for name in names
    ]


def test_what_is_measured_on_test_is_what_the_saved_network_says_and_a_few_images_are_checked(tiny, tmp_path):
    run = run_trial(trial_of(tmp_path, epochs=8), tiny)
    saved = run.metrics["saved_network"]
    assert saved == {"images": agreement.CHECKED, "agreement": 1.0, "largest_difference": saved["largest_difference"]}
    assert saved["largest_difference"] < 1e-5
    logits = hs.Classifier.load(run.folder).logits(tiny.test.images[:]).numpy()
    assert np.array_equal(logits.argmax(axis=1), run.predictions()[0].argmax(axis=1))
    np.testing.assert_allclose(logits, run.predictions()[0], rtol=1e-4, atol=1e-4)


def test_a_saved_network_that_says_otherwise_is_told(tiny, tmp_path, capfd, monkeypatch):
    other = {"images": 30, "agreement": 0.9, "largest_difference": 0.5}
    monkeypatch.setattr(trials, "saved_network", lambda folder, test, logits: (other, 1.0))
    run = run_trial(trial_of(tmp_path), tiny)
    assert run.metrics["saved_network"] == other
    told = " ".join(capfd.readouterr().err.split())
    assert "gives 30 test images the measured class in 90.00 % of cases only" in told


def test_a_run_whose_loss_is_not_finite_says_so_and_keeps_it_with_its_scores(tiny, tmp_path, capfd, monkeypatch):
    real, looks = training.score, []

    def score(*given):
        loss, accuracy = real(*given)
        looks.append(loss)
        return (loss if len(looks) < 3 else float("nan")), accuracy

    monkeypatch.setattr(training, "score", score)
    metrics = run_trial(trial_of(tmp_path, epochs=5), tiny).metrics
    said = "the loss was not finite by epoch 3: training stopped, and the weights of epoch 2 are kept"
    assert (metrics["ended"], metrics["epochs"]) == (said, 2)
    assert f"base-cnn (seed 0): {said}" in " ".join(capfd.readouterr().err.split())


EXTREMES = ((1, 1), (1, 200), (500, 100), (90, 450), (12, 9), (31, 31))  # width and height in pixels


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of photos of all shapes, in colour and grey, some turned by their EXIF orientation: two classes."""
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    sizes = [*draw.integers(40, 400, (60, 2)).tolist(), *(size for size in EXTREMES for _ in range(2))]
    for number, (width, height) in enumerate(sizes):
        image = draw.integers(0, 120, (height, width, 3), dtype=np.uint8)
        image[: (height + 1) // 2, :, number % 2] += 120
        place = folder / ("warm", "green")[number % 2]
        place.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8 if number % 3 == 0 else 1
        picture = Image.fromarray(image)
        picture.save(place / f"{number}.{'png' if number % 4 else 'jpg'}", exif=exif)
    return folder


@pytest.mark.parametrize(
    ("fit", "strategies"),
    [
        ("stretch", ["base-cnn", "deep-cnn", "frozen", "last20", "full"]),
        ("crop", ["base-cnn", "frozen"]),
        ("letterbox", ["base-cnn"]),
    ],
)
def test_predict_on_the_files_of_test_gives_what_was_measured_on_photos_of_all_shapes(
    photos, tmp_path, fit, strategies
):
    data = hs.load(photos, fit=fit)
    assert len({tuple(size) for size in data.test.files[["width", "height"]].to_numpy().tolist()}) > 5
    options = {"backbone": LITE0, "image_size": 64, "epochs": 6, "offline": True, "device": "cpu", "folds": "none"}
    result = hs.compare(data, strategies, output=tmp_path / "out", **options)
    files = [photos / path for path in data.files["path"]]
    for run in result.runs:
        logits, _, names = run.predictions()
        classifier = hs.Classifier.load(run.folder)
        predicted = classifier.predict([files[row] for row in data.test.rows])
        assert (predicted == np.array(names)[logits.argmax(axis=1)]).all(), run.candidate
        from_arrays = classifier.predict_proba(data.images)
        np.testing.assert_allclose(classifier.predict_proba(files), from_arrays, atol=1e-5)
        assert (run.config["fit"], run.config["sides"][0]) == (fit, data.image_shape[0])


def test_a_run_that_does_not_say_how_it_was_fitted_was_letterboxed(photos, tmp_path):
    data = hs.load(photos, fit="letterbox")
    run = run_trial(trial_of(tmp_path), data)
    files = [photos / path for path in data.test.files["path"]]
    said = hs.Classifier.load(run.folder).predict_proba(files)
    write_json(run.folder / CONFIG, {key: value for key, value in run.config.items() if key != "fit"})
    before = hs.Classifier.load(run.folder)
    assert before.fit == "letterbox"
    assert np.array_equal(before.predict_proba(files), said)
