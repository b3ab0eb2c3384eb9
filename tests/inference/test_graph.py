from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.data.decode import fitted as by_pillow
from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.graph import WholePhotos, fitted
from headstart.models.build import from_spec
from headstart.options import FITS

SHAPES = [(50, 70), (300, 41), (41, 300), (99, 101), (64, 64), (1, 7), (7, 1), (2, 2), (480, 640)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [16, 64])
def test_a_photo_of_any_shape_is_fitted_to_the_last_bit_as_pillow_does_it(fit, shape, side):
    pixels = noise(*shape)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    square = fitted(images, side, fit)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(square, by_pillow(pixels, side, fit))


@pytest.mark.parametrize("kind", ["base-cnn", "deep-cnn"])
@pytest.mark.parametrize("fit", FITS)
def test_a_graph_says_of_whole_photos_what_the_classifier_says_of_them(kind, fit):
    torch.manual_seed(0)
    network = from_spec({"kind": kind, "channels": 3, "image_size": 16, "classes": 3})
    classifier = Classifier(network, ["a", "b", "c"], (24, 16), 1.5, fit)
    graph = WholePhotos(network, classifier.sides, fit, classifier.temperature)
    photos = np.stack([noise(70, 31), 255 - noise(70, 31)])
    with torch.no_grad():
        probabilities, features = graph(torch.from_numpy(photos))
        logits = graph.last(features)
    assert np.allclose(probabilities.numpy(), classifier.predict_proba(photos), atol=1e-6)
    assert torch.equal(logits.argmax(1), probabilities.argmax(1))


def test_a_run_that_does_not_say_its_square_gives_no_graph():
    network = from_spec({"kind": "base-cnn", "channels": 3, "image_size": 16, "classes": 2})
    with pytest.raises(HeadstartError, match="schema 1"):
        WholePhotos(network, (), "stretch", 1.0)
