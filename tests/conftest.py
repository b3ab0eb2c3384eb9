"""Tiny real objects that many tests share, and a cache of their own."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from headstart.data.dataset import Dataset, Split

CLASS_NAMES = ("red", "green", "blue")
USERS_CACHE = os.environ.get("HEADSTART_CACHE")  # before the session is given one of its own


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache, but the one that wants the real CIFAR-10 and asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of whoever runs the tests, for what should be downloaded once and not every time."""
    if USERS_CACHE is None:
        monkeypatch.delenv("HEADSTART_CACHE")
    else:
        monkeypatch.setenv("HEADSTART_CACHE", USERS_CACHE)


@pytest.fixture(autouse=True)
def same_chance():
    """Every test draws the same numbers each time, alone or in company."""
    torch.manual_seed(0)


def coloured_split(count: int, size: int, seed: int) -> Split:
    """Noise with more of one channel: a class a channel, learnt within a few steps."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASS_NAMES)
    images = generator.integers(0, 120, (count, size, size, 3))
    images[np.arange(count), :, :, labels] += 100
    return Split(images.astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """Three easy classes of 32 x 32 images."""
    splits = (coloured_split(count, 32, seed) for seed, count in enumerate((96, 30, 30)))
    return Dataset("tiny", *splits, CLASS_NAMES, "fingerprint-of-tiny", "made by the tests")
