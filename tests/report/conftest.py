from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from small_runs import STRATEGIES, make_dataset, write_run

from headstart.comparison import Comparison, compare_runs
from headstart.data.dataset import Dataset
from headstart.report import drawing


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels: what is drawn where does not depend on them, how long it takes does."""
    monkeypatch.setattr(drawing, "DPI", 50)


@pytest.fixture
def make_comparison(tmp_path: Path) -> Callable[..., tuple[Comparison, Dataset]]:
    """A function that writes run folders and compares them: (comparison, data set)."""

    def make(
        strategies: Sequence[str] = tuple(STRATEGIES), seeds: Sequence[int] = (0,), dataset: Dataset | None = None
    ) -> tuple[Comparison, Dataset]:
        dataset = dataset or make_dataset()
        for strategy in strategies:
            for seed in seeds:
                write_run(tmp_path, strategy, seed, dataset)
        return compare_runs(tmp_path, strategies), dataset

    return make
