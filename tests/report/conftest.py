from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from small_runs import FOUR, HOSTILE, make_dataset, make_folds, many, write_runs

from headstart.data.dataset import Dataset
from headstart.inference.explain import blend
from headstart.report import drawing, heat, images
from headstart.report.confusion import Gallery
from headstart.report.html import write_report
from headstart.results.comparison import Comparison


@contextmanager
def coarse() -> Iterator[None]:
    """Fewer pixels: what is drawn where does not depend on them, how long it takes does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "DPI", 50)
        yield


@pytest.fixture(autouse=True)
def coarse_pictures() -> Iterator[None]:
    """All tests here draw coarsely; those of other folders do not."""
    with coarse():
        yield


def ramps(_: Comparison, galleries: Iterable[Gallery], pictures: np.ndarray) -> heat.Heats:
    """A heat map that grows from corner to corner in place of Grad-CAM's, which needs weights."""
    ramp = np.linspace(0, 1, pictures[0, ..., 0].size).reshape(pictures.shape[1:3])
    return {
        (it.candidate, shot.image, shot.taken): blend(pictures[shot.image], ramp)
        for it in galleries
        for shot in it.shots
    }


@pytest.fixture
def given_heats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every image of a gallery has a heat map."""
    monkeypatch.setattr(heat, "warmed", ramps)


@pytest.fixture
def make_comparison(tmp_path: Path) -> Callable[..., tuple[Comparison, Dataset]]:
    """A function that writes run folders and compares them: (comparison, data set)."""

    def make(
        strategies: Sequence[str] = FOUR, seeds: Sequence[int] = (0,), dataset: Dataset | None = None
    ) -> tuple[Comparison, Dataset]:
        dataset = dataset or make_dataset()
        return write_runs(tmp_path, strategies, seeds, dataset), dataset

    return make


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Dataset]:
    """A comparison of the default strategies, with all that `compare` leaves: not to be changed, as many look at it."""
    return _reported(tmp_path_factory.mktemp("whole"), FOUR, make_dataset(per_class=20))


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Dataset]:
    """The same of two strategies, whose classes have the worst of names."""
    names = ("base-cnn", "last20")
    return _reported(tmp_path_factory.mktemp("hostile"), names, make_dataset(HOSTILE, per_class=10))


@pytest.fixture(scope="session")
def ten(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Dataset]:
    """The largest that anyone is expected to ask for: ten candidates on several backbones, five folds, three seeds."""
    return _reported(tmp_path_factory.mktemp("ten"), many(10), make_folds(), (0, 1, 2))


def _reported(
    folder: Path, names: Sequence[str], dataset: Dataset, seeds: Sequence[int] = (0,)
) -> tuple[Comparison, Dataset]:
    comparison = write_runs(folder, names, seeds, dataset)
    with coarse(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(heat, "warmed", ramps)
        images.keep_pictures(comparison, dataset)
        write_report(comparison)
    return comparison, dataset
