"""The line between a network's pre-trained weights and its retrained ones: how much of what it forgot it need not have.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT, arXiv 2109.01903): every weight is mixed, so
that the mixture is a network of the same size and speed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import nn

from headstart.models.network import Network
from headstart.strategies import STRATEGIES, with_enough_steps
from headstart.training.batches import Samples
from headstart.training.fit import TrainVal, fit, predict
from headstart.training.forgetting import FINAL, MOST_IMAGES, Original

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the retrained weights
HEAD_IMAGES = 5000  # at most, that a head for frozen features is trained on
Row = Mapping[str, Any]


class Line(NamedTuple):
    """start: the network before training, with a head trained for it. end: as it was retrained."""

    start: Network
    end: Network

    @classmethod
    def of(cls, before: Network, after: Network, samples: TrainVal, fabric: Fabric, seed: int) -> Line:
        """Between a network before and after training, whose trainable parts see `samples`."""
        start = copy.deepcopy(before)
        fit_head(start, samples, fabric, seed)
        return cls(start, after)

    def at(self, share: float) -> Network:
        """Every weight mixed: so much of the retrained one, the rest of the one it came from."""
        network = copy.deepcopy(self.end)
        old, new = self.start.trainable.state_dict(), self.end.trainable.state_dict()
        mixed = {
            name: torch.lerp(old[name], value, share) if value.is_floating_point() else value
            for name, value in new.items()
        }
        network.trainable.load_state_dict(mixed)
        return network

    def measured(self, val: Samples, original: Original | None, fabric: Fabric) -> list[dict[str, Any]]:
        """A row a mixture: its `share`, its `accuracy` on MOST_IMAGES of val at most, and, where an old head can be
        asked, the `agreement` of its answers with those before training and the `cka` of the final features."""
        some, rows = val.evenly(MOST_IMAGES), []
        for share in SHARES:
            network = self.at(share)
            right = predict(network.trainable, some, fabric).argmax(dim=1) == some.labels.to(fabric.device)
            kept = original.forgotten(network) if original else {"agreement": None, "cka": {}}
            told = {"agreement": kept["agreement"], "cka": kept["cka"].get(FINAL)}
            rows.append({"share": share, "accuracy": right.float().mean().item(), **told})
        return rows


def best_share(rows: Sequence[Row]) -> float:
    """The share of the mixture that is the most accurate on val; of several, the one nearest to the original."""
    return float(max(rows, key=lambda row: (row["accuracy"], -row["share"]))["share"])


def images_of_a_line(train: int, val: int, test: int) -> int:
    """How many images the network is run on for all of it."""
    return min(HEAD_IMAGES, train) + len(SHARES) * (min(MOST_IMAGES, val) + min(MOST_IMAGES, test))


def fit_head(network: Network, samples: TrainVal, fabric: Fabric, seed: int) -> None:
    """Train the new head of a network in place, on what its backbone gives of HEAD_IMAGES at most as it is: the first
    half of Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features" (LP-FT, arXiv 2202.10054).

    By the recipe of `frozen`. It draws random numbers of its own: what is trained afterwards meets the same as without.
    """
    *body, _ = network.trainable.children()
    seen = [_features(nn.Sequential(*body), each.evenly(HEAD_IMAGES), fabric) for each in samples]
    head = nn.Sequential()
    head.head = network.trainable.get_submodule("head")
    recipe = with_enough_steps(STRATEGIES["frozen"], len(seen[0])).recipe
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fit(head, TrainVal(*seen), recipe, fabric, seed)


def _features(body: nn.Module, samples: Samples, fabric: Fabric) -> Samples:
    """What a network's body gives of samples under their first view, (N, F) float16."""
    if not len(samples):
        return samples
    given = predict(body, samples, fabric).half()
    return Samples(given, torch.arange(len(samples))[None], samples.labels, samples.views[:1])
