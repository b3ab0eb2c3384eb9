"""What a trained network says of val and test, and the classifier that it becomes: everything is measured here once."""

from __future__ import annotations

import numpy as np
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset
from headstart.evaluation.calibration import fit_temperature
from headstart.inference.classifier import Classifier
from headstart.training.fit import predict
from headstart.training.preparation import Prepared, side_seen


def on_val(prepared: Prepared, data: Dataset, fabric: Fabric) -> np.ndarray:
    """Logits (N, C) of val, which may be empty."""
    if not len(data.val):
        return np.empty((0, len(data.class_names)), np.float32)
    samples, _ = prepared.samples(data.val, ("identity",))
    return predict(prepared.network.trainable, samples, fabric).cpu().numpy()


def calibrated(prepared: Prepared, data: Dataset, logits: np.ndarray, labels: np.ndarray) -> Classifier:
    """A trained network as it is used, with the temperature that suits logits (N, C) of images that it did not learn
    from, and their labels (N,)."""
    sides, temperature = sides_of(prepared, data), fit_temperature(logits, labels)
    return Classifier(prepared.network, data.class_names, sides, temperature, data.fit, data.whites)


def on_test(prepared: Prepared, data: Dataset, views: tuple[str, ...], fabric: Fabric) -> tuple[np.ndarray, np.ndarray]:
    """The first and only evaluation on test: logits (N, C) of the images as they are, and means over the `views`.

    Of the images as they are in the arithmetic in which the network is used, so that whoever uses it gets what was
    measured; further views enter the means alone, and are seen as in training.
    """
    first, *others = views
    as_they_are, _ = prepared.samples(data.test, (first,), exact=True)
    logits = [predict(prepared.network.trainable, as_they_are, fabric, exact=True).cpu().numpy()]
    if others:
        samples, _ = prepared.samples(data.test, tuple(others))
        network = prepared.network.trainable
        logits += [predict(network, samples, fabric, view).cpu().numpy() for view in range(len(others))]
    return logits[0], np.mean(logits, axis=0)


def sides_of(prepared: Prepared, data: Dataset) -> tuple[int, ...]:
    """The squares into which a file's image is fitted before the network is given it: that which the data set keeps
    and, where nothing is frozen, the smaller one that is trained on."""
    canvas = data.image_shape[0]
    seen = canvas if len(prepared.network.frozen) else side_seen(data, prepared.spec["image_size"])
    return (canvas, seen) if seen < canvas else (canvas,)
