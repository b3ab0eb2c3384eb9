"""The one idea: every strategy's network is a frozen part followed by a trainable part."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Readout(nn.Sequential):
    """A whole chain of pieces that gives, beside its final features, the means of the maps after some earlier pieces.

    pools: after how many pieces a mean is taken. (N, C, H, W) uint8 -> (N, F) float. What a backbone's middle stages
    know is lost to its last layers, which were trained for other classes; a new head can use it (Evci et al. 2022,
    "Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning", arXiv 2201.03529).
    """

    def __init__(self, chain: nn.Sequential, pools: Sequence[int]):
        super().__init__(OrderedDict(chain.named_children()))
        self.pools = tuple(pools)

    def forward(self, x: Tensor) -> Tensor:
        """Run the chain."""
        return self.tapped(x, [len(self)])[0]

    def tapped(self, x: Tensor, cuts: Sequence[int]) -> list[Tensor]:
        """What the chain gives after each of several numbers of pieces, in one run."""
        outputs, means = [], []
        for place, piece in enumerate(self, start=1):
            x = piece(x)
            if place in self.pools:
                means.append(x.mean(dim=(2, 3)))
            if place in cuts:
                outputs.append(torch.cat([*means, x], dim=1) if place == len(self) else x)
        return outputs

    def split(self, cut: int) -> tuple[nn.Sequential, nn.Sequential]:
        """The first `cut` pieces, which is this very chain when they are all, and the others."""
        pieces = list(self.named_children())
        frozen = self if cut == len(self) else nn.Sequential(OrderedDict(pieces[:cut]))
        return frozen, nn.Sequential(OrderedDict(pieces[cut:]))

    def extra_repr(self) -> str:
        """Part of the key of cached activations."""
        return f"pools={self.pools}"


class Taps(nn.Module):
    """A readout that gives a tensor at each of several cuts: how one pass serves several strategies."""

    def __init__(self, readout: Readout, cuts: Sequence[int]):
        super().__init__()
        self.readout, self.cuts = readout.eval(), tuple(cuts)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return a tensor a cut."""
        return tuple(self.readout.tapped(images, self.cuts))


class Network(nn.Module):
    """`trainable(frozen(images))`: (N, C, H, W) uint8 images -> (N, classes) logits.

    frozen: a chain whose outputs training may cache; its weights get no gradient and its BatchNorm keeps its
    statistics, also after `.train()`. From scratch it is empty, and gives the images themselves.
    """

    def __init__(self, frozen: nn.Sequential, trainable: nn.Module):
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        self.trainable = trainable
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """Set the mode of the trainable part; the frozen part stays in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch."""
        return self.trainable(self.frozen(images))


def last_linear(network: nn.Module) -> nn.Linear:
    """The layer that gives a network's logits."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


@contextmanager
def features_of(network: nn.Module) -> Iterator[list[Tensor]]:
    """While a network runs: what its last linear layer is given, (n, D) float32 on the CPU, batch by batch.

    They are the *features* of an image: all that the network tells its classes by.
    """
    found: list[Tensor] = []
    hook = last_linear(network).register_forward_pre_hook(
        lambda _, given: found.append(given[0].detach().float().cpu())
    )
    try:
        yield found
    finally:
        hook.remove()
