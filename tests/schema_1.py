"""Folders as an older headstart left them: finished ones of today, brought into the form that schema 1 had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.files import read_json, write_json, write_table

LATER = {"schema", "candidate", "split", "planned", "sides", "fit", "ended", "saved_network"}  # came with schema 2
LATER_IN_STRATEGIES = {"colour", "marker"}


def without(content: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def as_schema_1(folder: Path) -> Path:
    """A comparison's folder, of <strategy>/seed<n>/, without request.json and without a word of schemas."""
    for run in runs.find_runs(folder):
        strategy = without(run.config["strategy"], LATER_IN_STRATEGIES)
        write_json(run.folder / runs.CONFIG, without(run.config, LATER) | {"strategy": strategy})
        write_json(run.folder / runs.METRICS, {"strategy": run.candidate} | without(run.metrics, LATER))
        run.folder.rename(run.folder.with_name(f"seed{run.seed}"))
    (folder / runs.REQUEST).unlink()
    comparison = read_json(folder / runs.COMPARISON)
    rows = [without(row, LATER) for row in comparison["strategies"]]
    write_json(folder / runs.COMPARISON, without(comparison, LATER) | {"strategies": rows})
    write_table(folder / runs.TABLE, pd.DataFrame(rows))
    write_checksums(folder)
    return folder


def curve_as_schema_1(folder: Path, asked: dict[str, Any]) -> Path:
    """A learning curve's folder, in which curve.json kept what was asked."""
    for size in runs.finished_sizes(folder):
        as_schema_1(runs.folder_of_size(folder, size))
    (folder / runs.REQUEST).unlink()
    curve = read_json(folder / runs.CURVE)
    rows = [without(row, LATER) for row in curve["runs"]]
    write_json(folder / runs.CURVE, {"asked": asked} | without(curve, LATER) | {"runs": rows})
    write_table(folder / runs.CURVE_TABLE, pd.DataFrame(rows))
    write_checksums(folder)
    return folder
