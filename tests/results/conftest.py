from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import headstart as hs


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny) -> Path:
    """A comparison's folder as `compare` leaves it: not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny-1"
    hs.compare(tiny, strategies=["base-cnn"], epochs=1, seed=[0, 1], device="cpu", output=folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of it to do things to."""
    return shutil.copytree(finished, tmp_path / "tiny-1")
