from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.evaluation.novelty import distances, threshold
from headstart.inference import predict as predicting
from headstart.inference.answers import UNLIKE
from headstart.inference.novelty import Novelty
from headstart.inference.predict import Trained
from headstart.results import runs
from headstart.results.verification import verify


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny-1"
    return hs.compare(tiny, ["base-cnn"], epochs=8, device="cpu", output=folder).runs[0]


def test_a_direction_that_training_has_is_no_distance_away_and_another_one_is():
    reference = np.array([[1, 0], [0, 2]], np.float16)
    np.testing.assert_allclose(distances(np.array([[3, 0], [1, 1], [-1, -1]]), reference), [0, 0.293, 1.707], atol=1e-3)


@pytest.mark.parametrize("count, flagged", [(99, 0), (999, 9), (20, 0)])
def test_no_more_than_one_in_a_hundred_known_pictures_are_beyond_the_threshold(count, flagged):
    known = np.random.default_rng(0).random(count)
    assert (known > threshold(known)).sum() == flagged


def test_of_many_draws_the_share_that_is_flagged_is_what_was_asked():
    draw = np.random.default_rng(0)
    rates = [(draw.random(500) > threshold(draw.random(200))).mean() for _ in range(200)]
    assert 0.005 < np.mean(rates) <= 0.0105


def test_the_rate_that_a_run_tells_is_that_of_its_test_images_and_is_verified(run):
    found = Novelty.of(run)
    assert run.metrics["false_flags"] == found.limit.false_flags
    assert len(run.novelty["test"]) == 30
    assert verify(run.folder) == []


def test_predict_flags_what_was_flagged_of_test(run, tiny):
    classifier, found = Trained(run.folder), Novelty.of(run)
    squares = np.stack([classifier.square(each) for each in tiny.test.images])
    assert np.array_equal(classifier.probabilities(squares)[1], run.novelty["test"] > found.limit.threshold)
    assert classifier.probabilities(255 * (np.indices((2, 32, 32, 3)).sum(axis=0) % 2).astype(np.uint8))[1].all()


def test_what_is_flagged_says_so_as_its_doubt(run, tiny, monkeypatch, tmp_path):
    Image.fromarray(tiny.test.images[0]).save(tmp_path / "a.png")
    monkeypatch.setattr("headstart.inference.novelty.threshold", lambda known: -1.0)
    assert predicting.predict(run.folder, tmp_path)["doubt"].tolist() == [UNLIKE]


def test_a_run_that_kept_nothing_for_it_says_that_it_cannot_tell(run, capfd):
    kept = (run.folder / runs.NOVELTY).read_bytes()
    (run.folder / runs.NOVELTY).unlink()
    classifier = Trained(run.folder)
    (run.folder / runs.NOVELTY).write_bytes(kept)
    assert not classifier.probabilities(np.zeros((1, 32, 32, 3), np.uint8))[1].any()
    assert "cannot tell photos unlike training's" in " ".join(capfd.readouterr().err.split())
