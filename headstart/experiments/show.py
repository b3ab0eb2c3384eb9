"""What the data looks like, and what augmentation makes of it, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import torch

from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.report import images
from headstart.strategies import STRATEGIES
from headstart.training.batches import augmented
from headstart.values import given
from headstart.values import path as read_path

SHOWN_IMAGES = 4
SHOWN_VARIANTS = 8
SHOWN_TRANSLATE = max(strategy.recipe.translate for strategy in STRATEGIES.values())


def show(data: Dataset, path: Path, seed: int = 0) -> Path:
    """Draw samples with labels, class balance and what augmentation does into one PNG; returns its path."""
    path = given("path", path, read_path)
    if not isinstance(data, Dataset):
        raise HeadstartError(f"data: {type(data).__name__} is no data set: load it first")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:SHOWN_IMAGES]
    originals = torch.from_numpy(data.train.images[chosen.numpy()]).permute(0, 3, 1, 2)
    variants = []
    for _ in range(SHOWN_VARIANTS):
        shift = torch.randint(-SHOWN_TRANSLATE, SHOWN_TRANSLATE + 1, (2, len(chosen)), generator=generator)
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        variants.append(augmented(originals, torch.arange(len(chosen)), shift, mirrored))
    pixels = torch.stack([originals, *variants], dim=1).permute(0, 1, 3, 4, 2).numpy()  # (N, 1 + K, H, W, C)
    path.parent.mkdir(parents=True, exist_ok=True)
    images.show(data, (pixels[:, 0], pixels[:, 1:]), path)
    return path
