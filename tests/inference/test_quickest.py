from __future__ import annotations

import numpy as np
import pytest
import torch
from small_data import CLASS_NAMES, coloured_part

from headstart.inference import quickest as module
from headstart.inference.classifier import Classifier
from headstart.inference.quickest import FEW, OWN, Quickest
from headstart.models import build
from headstart.training.engines import eager

SIDE = 24


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network, _ = build.from_scratch("base-cnn", coloured_part(8, SIDE, 0)[0], len(CLASS_NAMES))
    return Classifier(network, CLASS_NAMES, (SIDE,))


@pytest.fixture
def other(monkeypatch, classifier):
    """Makes an engine the quickest that adds so much to PyTorch's logits."""

    def with_added(much):
        def added(network):
            own = eager(network, torch.device("cpu"), bf16=False)
            return lambda images, write: own(images, lambda at, said: write(at, [said[0] + much, said[1]]))

        seconds = {OWN: 2.0, "other": 1.0}
        measured = {name: {"setup_seconds": 0.0, "image_seconds": each} for name, each in seconds.items()}
        monkeypatch.setattr(module, "choose", lambda *_, **__: {"measured": measured})
        monkeypatch.setattr(module, "engines", lambda network, *_, **__: {"other": lambda: added(network)})

    return with_added


SQUARES = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
WRONG = np.arange(len(CLASS_NAMES))


def test_the_quickest_engine_that_agrees_is_used(classifier, other):
    other(1e-6)
    quickest = Quickest(classifier, "fingerprint", FEW)
    for _ in range(2):
        logits, features = quickest(SQUARES)
        np.testing.assert_allclose(logits, classifier.logits(SQUARES), atol=1e-5)
        assert len(features) == len(SQUARES)
    assert quickest.name == "other"


@pytest.mark.parametrize("much", [WRONG, np.nan])
def test_one_that_says_otherwise_is_ruled_out_and_that_is_said(classifier, other, much, capsys):
    other(much)
    quickest = Quickest(classifier, "fingerprint", FEW)
    for _ in range(2):
        np.testing.assert_allclose(quickest(SQUARES)[0], classifier.logits(SQUARES), atol=1e-5)
    assert quickest.name == OWN
    assert capsys.readouterr().err.count("other is not used") == 1


def test_few_photos_are_pytorchs(classifier, other):
    other(WRONG)
    assert Quickest(classifier, "fingerprint", FEW - 1).name == OWN
