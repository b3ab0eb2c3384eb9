"""A classifier as one file that other programs run, kept only if it says what was measured."""

from __future__ import annotations

from typing import Any

from headstart import __version__
from headstart.inference.classifier import Classifier
from headstart.inference.formats import SCHEMA
from headstart.results.runs import Run


def about_of(run: Run, classifier: Classifier) -> dict[str, Any]:
    """What an exported file says of itself, JSON; a format adds its `opset` and its `producer`.

    predict: what `predict` needs to tell when not to answer.
    """
    data = run.config["dataset"]
    return {
        "schema": SCHEMA,
        "headstart": __version__,
        "candidate": run.candidate,
        "dataset": {"name": data["name"], "fingerprint": data["fingerprint"]},
        "class_names": list(classifier.class_names),
        "sides": list(classifier.sides),
        "fit": classifier.fit,
        "whites": dict(classifier.whites),
        "temperature": classifier.temperature,
        "predict": {},
    }
