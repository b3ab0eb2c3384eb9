"""The one idea: every strategy's network is a frozen part followed by a trainable part."""

from __future__ import annotations

from torch import Tensor, nn


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
