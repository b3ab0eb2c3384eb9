"""One strategy as scikit-learn has estimators: `cross_val_score(hs.HeadstartClassifier(), photos, labels)`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from headstart.data.labelled import labelled
from headstart.data.pixels import Picture, pictures_in
from headstart.errors import HeadstartError
from headstart.experiments.found import find_backbones
from headstart.experiments.measuring import calibrated, on_val
from headstart.experiments.trial import (
    Setting,
    Trial,
    candidates_for,
    config_of,
    train,
    untrained,
)
from headstart.inference.classifier import Classifier
from headstart.models.build import from_spec
from headstart.options import Options
from headstart.runtime.console import quiet
from headstart.runtime.device import make_fabric, settings_kept
from headstart.runtime.failures import machine_errors
from headstart.training.fit import Watch
from headstart.values import given, seed, text

DEFAULTS = Options()
Pictures = Sequence[Picture] | np.ndarray
"""N files, Pillow images or arrays, of any sizes, or one array (N, H, W, 3): see `image_of`."""

_weights = lru_cache(maxsize=8)(find_backbones)  # of one process: all folds of a search start from the same


class HeadstartClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of images by one strategy, for scikit-learn's cross-validation, searches, ensembles and pipelines.

    strategy: a row of `STRATEGIES`. into_square: how a picture is brought into a square, `fit` elsewhere, which is a
    method here. verbose: say and show what `compare` does. The others are the fields of `options.Options` of that name,
    which say what each is; there is no time limit. Like all of scikit-learn's, parameters are checked by `fit`, which
    raises HeadstartError.

    After `fit`: `classes_` (C,), the labels in order, and `classifier_`, as `hs.Classifier` has it. Pickles (of
    joblib.dump) hold the weights as a safetensors file does, and how to build the network, as config.json does.
    """

    def __init__(
        self,
        strategy: str = "frozen",
        *,
        backbone: str = DEFAULTS.backbone[0],
        weights: str | PathLike[str] | None = DEFAULTS.weights,
        image_size: int | None = DEFAULTS.image_size,
        into_square: str = DEFAULTS.fit,
        epochs: int | None = DEFAULTS.epochs,
        class_weights: str = DEFAULTS.class_weights,
        seed: int = DEFAULTS.seed[0],
        device: str = DEFAULTS.device,
        offline: bool = DEFAULTS.offline,
        verbose: bool = False,
    ):
        self.strategy = strategy
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.into_square = into_square
        self.epochs = epochs
        self.class_weights = class_weights
        self.seed = seed
        self.device = device
        self.offline = offline
        self.verbose = verbose

    @machine_errors()
    def fit(self, X: Pictures, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Train on images X and labels y (N,) of any type that can be sorted; a part of them, val, sets the temperature
        and chooses the epoch.

        Files are decoded once, and the frozen part of a network sees each image once, whatever folds it is in: both are
        kept in the cache. Torch's settings and random generators are afterwards as they were before. Raises
        HeadstartError for images that cannot be read, and for parameters that cannot be.
        """
        options = self._options()
        pictures = several(X)
        if y is None:
            raise ValueError("HeadstartClassifier requires y to be passed, but the target y is None")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(pictures, labels)
        check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise HeadstartError(f"y has {len(classes)} class: there must be two or more to tell apart")
        with settings_kept(), quiet(not self.verbose):
            names = [str(each) for each in classes]
            data = labelled(pictures, numbers, names, fit=options.fit, image_size=options.image_size)
            fabric = make_fabric(options.device)
            (candidate,) = candidates_for(options, len(data.train), _weights(options).weights)
            share = candidate.strategy.frozen_share
            setting = Setting(Path(), options.device, options.image_size, () if share is None else (share,))
            trial = Trial(candidate, data.splits[0].name, options.seed[0], setting)
            prepared = untrained(trial, data, fabric)
            train(trial, prepared, data, fabric, Watch())
            self.classifier_ = calibrated(prepared, data, on_val(prepared, data, fabric), data.val.labels)
            self.config_ = config_of(trial, prepared, data, 0, fabric)
        self.classes_ = classes
        return self

    def predict(self, X: Pictures) -> np.ndarray:  # noqa: N803
        """Labels (N,), as `fit` was given them."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Pictures) -> np.ndarray:  # noqa: N803
        """Calibrated probabilities (N, C) float32, in the order of `classes_`."""
        check_is_fitted(self)
        return self.classifier_.predict_proba(several(X))

    def _options(self) -> Options:
        asked = self.get_params()
        asked |= {"strategies": (given("strategy", asked.pop("strategy"), text),), "fit": asked.pop("into_square")}
        asked |= {name: given(name, asked.pop(name), read) for name, read in (("seed", seed), ("backbone", text))}
        del asked["verbose"]
        return Options.of(asked)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = tags.input_tags.string = True
        tags.no_validation = True  # of features: images have no number of them
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "classifier_" in state:
            state["classifier_"] = self.classifier_.weights
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "classifier_" in state:
            network = from_spec(self.config_["network"])
            self.classifier_ = Classifier.of(network, self.config_, state["classifier_"])


def several(images: Pictures) -> list[Picture]:
    """Each of the images that an estimator is given; HeadstartError where it is a single one."""
    found = list(pictures_in(images))
    if len(found) == 1 and found[0] is images:
        raise HeadstartError("X is one image: put it into a list")
    return found
