"""The images that a finished run was tested on, found again: a run's folder keeps what was said of them, not them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.dataset import Dataset, Subset
from headstart.data.folds import SPLIT_SEED, in_folds
from headstart.data.load import load
from headstart.errors import HeadstartError
from headstart.results.request import read_request
from headstart.results.runs import ONLY_FIT, ONLY_SPLIT, PREDICTIONS, Run
from headstart.runtime.text import shown

NAME_IT = "name the place of those data with --data"
OF_REQUEST = ("image_size", "group", "folds")  # what images, and who tests which, depend on


def images_of(run: Run, data: Dataset) -> Subset:
    """Those that a run's predictions are of, in their order; all where it has no predictions: it was trained on all
    after folds."""
    if not (run.folder / PREDICTIONS).exists():
        return Subset(data, np.arange(len(data)))
    return Subset(data, data.tested.rows[run.places])


def chosen_by(run: Run, data: Dataset) -> tuple[str, Subset]:
    """The images that a run's choices were made on: "val" and those, or "train" and what it was trained on where it had
    none."""
    split = next((each for each in data.splits if each.name == run.split), data.whole.splits[0])
    part = "val" if len(split.val) else "train"
    return part, Subset(data, split.parts[part])


def data_of(run: Run, data: Dataset | str | Path | None = None, **finding: Any) -> Dataset:
    """The data set of a run, loaded again as it was for it.

    data: the data set, or its place; None: where it was, or by its name. finding: what else `load` needs for it.
    Raises HeadstartError where it is not there, or is no longer what the run was tested on.
    """
    about = run.config["dataset"]
    if isinstance(data, Dataset):
        found, place = data, data.name
    else:
        source = about["source"] if os.path.lexists(about["source"]) else about["name"]
        place = source if data is None else str(data)
        found = _loaded(run, place, finding)
    if found.fingerprint != about["fingerprint"]:
        raise HeadstartError(
            f"{shown(place)} is not what {shown(run.folder)} was tested on: its fingerprint is "
            f"{found.fingerprint[:12]}, not {about['fingerprint'][:12]}; {NAME_IT}"
        )
    return found


def _loaded(run: Run, place: str, finding: dict[str, Any]) -> Dataset:
    folders = run.folder.resolve().parents[:3]  # of classifier/, of <candidate>/<run>; above it, of a learning curve
    requests = [each for each in map(read_request, folders) if each][:2]
    asked = {name: each["options"][name] for each in requests for name in OF_REQUEST if name in each["options"]}
    folds = "none" if run.split == ONLY_SPLIT else asked.get("folds", "auto")
    asked |= {"fit": run.config.get("fit", ONLY_FIT), "max_bad": 1.0, "folds": None}  # the fingerprint tells more
    try:
        loaded = load(place, **{key: value for key, value in asked.items() if value is not None}, **finding)
        return in_folds(loaded, folds, SPLIT_SEED)
    except HeadstartError as error:
        raise HeadstartError(f"the images of {shown(run.folder)} cannot be had ({error}): {NAME_IT}") from None
