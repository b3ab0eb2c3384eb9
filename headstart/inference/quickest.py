"""What runs a whole network over many photos: the engine that is quickest here, if it says what PyTorch says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax
from torch import Tensor, nn

from headstart.inference.classifier import Classifier
from headstart.models.network import features_of
from headstart.runtime.console import say
from headstart.training.engines import Engine, choose, eager, engines

OWN = "eager-fp32"  # PyTorch's, by which the others are judged
FEW = 512  # photos that PyTorch has classified before another engine is made
CHECKED, AT_ONCE = 16, 4  # photos that both classify first: for many at once PyTorch needs a fifth of all memory
ROUNDING = 1e-4  # of a probability, in float32 by another engine


class Quickest:
    """Logits (N, C) and features (N, D), float32, of squares (N, S, S, 3) uint8; all engines compute in float32.

    photos: how many there are to be: for few, PyTorch's own. fingerprint: of the classifier. Which engine is quickest
    is measured once, and kept; whether it agrees is looked at on the first photos of every call of `predict`: a
    probability that differs by more than ROUNDING rules it out, which is said. name: of the engine in use.
    """

    def __init__(self, classifier: Classifier, fingerprint: str, photos: int):
        network = _Whole(classifier.network).eval()
        device = next(network.parameters()).device
        self.temperature = classifier.temperature
        self.own = self.engine = eager(network, device, bf16=False)
        self.name, self.agrees = OWN, True
        if photos < FEW or not classifier.sides:  # without sides squares differ, and a compiled graph knows one size
            return
        shape = (classifier.sides[-1], classifier.sides[-1], 3)
        measured = choose(network, shape, device, f"{fingerprint[:12]}-{shape[0]}", bf16=False)["measured"]
        costs = {name: each["setup_seconds"] + photos * each["image_seconds"] for name, each in measured.items()}
        self.name = min(costs, key=costs.__getitem__)
        if self.name != OWN:
            self.engine, self.agrees = engines(network, shape, device, bf16=False)[self.name](), False

    def __call__(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run it."""
        said = _run(self.engine, squares)
        if self.agrees:
            return said
        some = squares[:CHECKED]
        own = [_run(self.own, some[at : at + AT_ONCE])[0] for at in range(0, len(some), AT_ONCE)]
        both = (each[: len(some)] / self.temperature for each in (said[0], np.concatenate(own)))
        apart = float(np.abs(np.subtract(*(softmax(each, axis=1) for each in both))).max())
        self.agrees = True  # from here on: either it did, or PyTorch's own is in its place
        if apart <= ROUNDING:  # not where it is no number
            return said
        say(f"{self.name} is not used: probabilities differ from PyTorch's by up to {apart:.2g} on these photos")
        self.name, self.engine = OWN, self.own
        return _run(self.own, squares)


class _Whole(nn.Module):
    """A network that gives its outputs as engines take them: logits (N, C), and features (N, D)."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        with features_of(self.network) as features:
            logits = self.network(images)
        return logits, features[0]


def _run(engine: Engine, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def write(start: int, outputs: Sequence[np.ndarray]) -> None:
        found[start] = np.array(outputs[0], np.float32), np.array(outputs[1], np.float32)

    engine(squares, write)
    logits, features = (np.concatenate(each) for each in zip(*(found[at] for at in sorted(found)), strict=True))
    return logits, features
