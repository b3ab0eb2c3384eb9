"""Tiny real objects that many tests share, and a cache of their own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, settings
from small_data import CLASS_NAMES, coloured_part, dataset_of

from headstart.data.dataset import Dataset

USERS_CACHE = os.environ.get("HEADSTART_CACHE")  # before the session is given one of its own
LONGEST = ("test_notebooks.py", "test_walks.py", "test_soaks.py")  # begun last, one process would end minutes later

settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")  # tests hold on a busy machine too


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; all others in their order."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache, but the one that wants the real CIFAR-10 and asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def with_users_cache() -> Callable[[pytest.MonkeyPatch], None]:
    """A function that patches the environment to the cache of whoever runs the tests, for what should be downloaded
    once and not every time."""

    def use(patch: pytest.MonkeyPatch) -> None:
        if USERS_CACHE is None:
            patch.delenv("HEADSTART_CACHE")
        else:
            patch.setenv("HEADSTART_CACHE", USERS_CACHE)

    return use


@pytest.fixture
def users_cache(monkeypatch: pytest.MonkeyPatch, with_users_cache: Callable[[pytest.MonkeyPatch], None]) -> None:
    """`with_users_cache` for one test."""
    with_users_cache(monkeypatch)


@pytest.fixture(autouse=True)
def same_chance():
    """Every test draws the same numbers each time, alone or in company."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """Three easy classes of 32 x 32 images."""
    return dataset_of("tiny", CLASS_NAMES, *(coloured_part(n, 32, seed) for seed, n in enumerate((96, 30, 30))))
