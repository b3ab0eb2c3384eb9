"""The strategies: each a row of one table, told apart by data alone. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

LEAST_STEPS = 100  # docs/decisions/small-data.md
SMALLEST_BATCH = 64  # images, about, that few of them are trained in at the least: the same page
CLASS_WEIGHTS = ("none", "balanced")
METRICS = ("accuracy", "balanced-accuracy", "f1")  # what may decide: evaluation/scores.py
AT = "@"  # between the names of a strategy and its backbone, where there are several
PREFERENCES = ("accuracy", "fit-time", "latency", "size")  # what may count when one is recommended: verdict.py


@dataclass(frozen=True)
class Group:
    """Parameters whose name matches `pattern` (as in a shell) and how they are trained; what none matches is frozen.

    optimizer: "adamw", "sgd" (Nesterov) or "muon". momentum: Adam's beta1 where the optimizer is AdamW.
    """

    pattern: str
    optimizer: str
    learning_rate: float
    weight_decay: float = 0.0
    momentum: float = 0.9


@dataclass(frozen=True)
class Recipe:
    """How the trainable part is trained.

    epochs: passes over the training images, also a part of one. schedule: "linear", "cosine" or "constant" over the
    planned epochs, after a rise over their first share `warmup`; or "plateau": down to a fifth when the loss on val has
    not fallen for three validations. validate_every: the loss on val is computed after so many epochs. patience:
    validations without a new lowest loss after which training stops (None: never).
    mixup: Beta's parameter for mixing inputs in pairs (0: not mixed). class_weights: "balanced" gives every class the
    same weight in the loss, however few images it has. least_steps: of few images batches are smaller and epochs more,
    until so many batches were seen (see `with_enough_steps`). views: what training sees of an image, by turns.
    translate: the most pixels an image is moved by. test_views: averaged for the score with test-time augmentation,
    which is reported apart.
    wise: whether what is kept of a retrained backbone is its most accurate mixture, on val, with what it was.
    """

    groups: tuple[Group, ...]
    epochs: float
    batch_size: int
    least_steps: int = LEAST_STEPS
    schedule: str = "cosine"
    warmup: float = 0.0
    validate_every: int = 1
    patience: int | None = None
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_weights: str = "none"
    views: tuple[str, ...] = ("identity", "mirror")
    translate: int = 0
    test_views: tuple[str, ...] = ("identity", "mirror")
    wise: bool = False


@dataclass(frozen=True)
class Expected:
    """What a recipe gave on CIFAR-10: accuracy on test, without and with its test views (fractions), seconds to fit.

    Means of seeds 0, 1 and 2 on two CPU cores of an AMD EPYC (AVX512_BF16), EfficientNet-Lite0 at 192 pixels:
    docs/results/2026-11-25-three-seeds. The standard error of an accuracy is about 0.0025. last20 has half of its
    epochs since: its accuracies are those of docs/results/2026-11-28-compare, its seconds those of half of them.
    """

    accuracy: float
    accuracy_tta: float
    seconds: float


@dataclass(frozen=True)
class Strategy:
    """One way to a classifier: `network = frozen part -> trainable part`.

    network: "base-cnn", "deep-cnn" or "backbone". frozen_share: the share of the backbone's layers that is left as it
    is (0: all of them are retrained); None where nothing is pre-trained, a backbone then has random weights. batchnorm,
    in what is trained: "learned", or "frozen" as it was pre-trained, and folded into the convolution before it. hidden:
    the width of the new head's hidden layer (0: there is none). expected: None where it was not measured yet.
    by_default: whether `compare` trains it unasked. colour, marker: what tells it apart in figures, a pair that no
    other has (`theme`).
    """

    name: str
    summary: str
    network: str
    frozen_share: float | None
    batchnorm: str
    recipe: Recipe
    colour: str
    marker: str
    expected: Expected | None = None
    hidden: int = 0
    by_default: bool = True


@dataclass(frozen=True)
class Weights:
    """Pre-trained weights, and the network they belong to, as they were found: enough to have the same again.

    name: timm's. file: a local one, None for those that come by the name. source, why: in words. sha256: of the file.
    """

    name: str
    image_size: int
    sha256: str
    source: str
    why: str
    file: str | None = None
    offline: bool = False


@dataclass(frozen=True)
class Candidate:
    """A row of a comparison: a strategy, and the weights that it starts from where it needs any.

    name: what the row, its folder and its key in every table are called.
    """

    name: str
    strategy: Strategy
    weights: Weights | None = None


def fine_tuned(learning_rate: float) -> tuple[Group, ...]:
    """A pre-trained backbone, at this rate, under a new head that learns faster; biases do not decay."""
    return (
        Group("backbone.*.bias", "adamw", learning_rate),
        Group("backbone.*", "adamw", learning_rate, weight_decay=0.02),
        Group("head.*", "adamw", 4e-3, weight_decay=0.02),
    )


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy(
            name="base-cnn",
            summary="a few convolutions from scratch",
            network="base-cnn",
            frozen_share=None,
            batchnorm="learned",
            colour="blue",
            marker="o",
            recipe=Recipe(
                groups=(Group("*", "adamw", 4e-3, weight_decay=0.02),),
                epochs=5,
                batch_size=256,
                schedule="linear",
                warmup=0.2,
                patience=3,
                translate=2,
            ),
            expected=Expected(accuracy=0.8149, accuracy_tta=0.8256, seconds=41),
        ),
        Strategy(
            name="deep-cnn",
            summary="a deeper CNN from scratch",
            network="deep-cnn",
            frozen_share=None,
            batchnorm="learned",
            colour="rust",
            marker="s",
            recipe=Recipe(
                groups=(
                    Group("groups.*.conv?.weight", "muon", 0.12, momentum=0.6),
                    Group("head.weight", "sgd", 0.3, weight_decay=1e-5, momentum=0.85),
                    Group("*.bias", "sgd", 26.0, weight_decay=4e-5, momentum=0.85),
                ),
                epochs=11,
                batch_size=500,
                schedule="linear",
                label_smoothing=0.2,
                translate=2,
                test_views=("identity", "mirror", "up-left", "down-right", "mirror up-left", "mirror down-right"),
            ),
            expected=Expected(accuracy=0.9327, accuracy_tta=0.9402, seconds=638),
        ),
        Strategy(
            name="frozen",
            summary="a new head on what the stages of a frozen pre-trained backbone give",
            network="backbone",
            frozen_share=1.0,
            batchnorm="frozen",
            hidden=512,
            colour="green",
            marker="^",
            recipe=Recipe(
                groups=(Group("head.*", "adamw", 2e-3, weight_decay=0.01),),
                epochs=10,
                batch_size=512,
                warmup=0.15,
                label_smoothing=0.1,
            ),
            expected=Expected(accuracy=0.9258, accuracy_tta=0.9283, seconds=124),
        ),
        Strategy(
            name="last20",
            summary="the last 20 % of a pre-trained backbone retrained, with a new head",
            network="backbone",
            frozen_share=0.8,
            batchnorm="frozen",
            colour="magenta",
            marker="D",
            recipe=Recipe(
                groups=fine_tuned(1e-3),
                epochs=4,
                batch_size=256,
                warmup=0.15,
                label_smoothing=0.1,
                mixup=0.4,
            ),
            expected=Expected(accuracy=0.9482, accuracy_tta=0.9517, seconds=309),
        ),
        Strategy(
            name="last50",
            summary="the last half of a pre-trained backbone retrained, with a new head",
            network="backbone",
            frozen_share=0.5,
            batchnorm="frozen",
            colour="olive",
            marker="v",
            recipe=Recipe(
                groups=fine_tuned(5e-4),
                epochs=8,
                batch_size=256,
                warmup=0.15,
                label_smoothing=0.1,
                mixup=0.4,
            ),
            by_default=False,
        ),
        Strategy(
            name="full",
            summary="all of a pre-trained backbone retrained, with a new head",
            network="backbone",
            frozen_share=0.0,
            batchnorm="frozen",
            colour="violet",
            marker="P",
            recipe=Recipe(
                groups=fine_tuned(3e-4),
                epochs=5,
                batch_size=128,
                warmup=0.15,
                label_smoothing=0.1,
                translate=2,
            ),
            by_default=False,
        ),
        Strategy(
            name="random-init",
            summary="the backbone's architecture without its weights, from scratch: what they are worth",
            network="backbone",
            frozen_share=None,
            batchnorm="learned",
            colour="grey",
            marker="X",
            recipe=Recipe(
                groups=(Group("*.bias", "adamw", 3e-3), Group("*", "adamw", 3e-3, weight_decay=0.05)),
                epochs=30,
                batch_size=128,
                warmup=0.15,
                label_smoothing=0.1,
                translate=2,
            ),
            by_default=False,
        ),
    )
}

DEFAULT = tuple(name for name, strategy in STRATEGIES.items() if strategy.by_default)


PROBE = "frozen"  # the strategy by which one of several backbones is judged before it is retrained


def candidates_of(strategies: Sequence[Strategy], backbones: Sequence[Weights]) -> list[Candidate]:
    """The rows of a comparison: every strategy, one that needs a backbone once on each of these. Where these are
    several, a candidate is called by both: `last20@resnet18.a1_in1k`."""
    named = f"{{}}{AT}{{}}" if len(backbones) > 1 else "{}"
    return [
        Candidate(named.format(each.name, weights.name) if weights else each.name, each, weights)
        for each in strategies
        for weights in (backbones if each.network == "backbone" else [None])
    ]


def strategy_name(candidate: str) -> str:
    """What the strategy of a candidate of this name is called."""
    return candidate.split(AT)[0]


def backbone_name(candidate: str) -> str:
    """What the backbone of a candidate of this name is called; empty where the name tells of none."""
    return candidate.partition(AT)[2]


def probes(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that say which backbones are worth retraining; none where there is one backbone, or nothing else
    to be done with it."""
    on_backbones = [each for each in candidates if each.weights is not None]
    found = [each for each in on_backbones if each.strategy.name == PROBE]
    return found if 1 < len(found) < len(on_backbones) else []


def with_epochs(strategy: Strategy, epochs: float | None) -> Strategy:
    """The same strategy, trained for another number of epochs (None: its own); for fewer, validated as often."""
    if epochs is None:
        return strategy
    recipe = strategy.recipe
    validate_every = min(recipe.validate_every, max(1, int(recipe.validate_every * epochs // recipe.epochs)))
    return with_recipe(strategy, epochs=epochs, validate_every=validate_every)


def with_enough_steps(strategy: Strategy, images: int) -> Strategy:
    """The same strategy, trained in smaller batches and for more epochs where `images` training images need it: of few,
    an epoch is soon over.

    It is validated about as often in all: val may be much larger than they are.
    """
    recipe = strategy.recipe
    size = recipe.batch_size
    while size > SMALLEST_BATCH and recipe.epochs * max(1, images // size) < recipe.least_steps:
        size //= 2
    epochs = max(recipe.epochs, math.ceil(recipe.least_steps / max(1, images // size)))
    longer = int(epochs // recipe.epochs)
    patience = recipe.patience and math.ceil(recipe.patience * epochs / (recipe.epochs * longer))
    every = recipe.validate_every * longer
    return with_recipe(strategy, batch_size=size, epochs=epochs, validate_every=every, patience=patience)


def with_recipe(strategy: Strategy, **changes: Any) -> Strategy:
    """The same strategy, its recipe changed so."""
    return replace(strategy, recipe=replace(strategy.recipe, **changes))
