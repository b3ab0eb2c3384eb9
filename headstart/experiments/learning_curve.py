"""Train the strategies on more and more images of one data set: a comparison a size, and what they say together."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from headstart.data.dataset import Dataset
from headstart.data.load import limited, load
from headstart.errors import HeadstartError
from headstart.experiments.compare import compare, refuse_impossible
from headstart.report.learning_curve import write_figure
from headstart.results import runs
from headstart.results.learning_curve import Curve, read_curve
from headstart.runtime.console import say
from headstart.strategies import DEFAULT, named

SIZES = (100, 300, 1000, 3000, 10_000)  # and all: what is tried unless asked otherwise
ALL = "all"


def learning_curve(
    data: Dataset | Callable[[], Dataset] | str | Path = "cifar10",
    sizes: Sequence[int | str] | None = None,
    strategies: Sequence[str] = DEFAULT,
    *,
    backbone: str = "auto",
    image_size: int | None = None,
    epochs: int | None = None,
    seed: int | Sequence[int] = 0,
    device: str = "auto",
    weights: str | Path | None = None,
    offline: bool = False,
    output: str | Path | None = None,
    command: str | None = None,
) -> Curve:
    """Compare strategies on several numbers of training images; all is written to a new folder, `runs/<data
    set>-curve-<n>` or `output`.

    sizes: numbers of training images, "all" for all there are (default: those of SIZES that the data has, and all). The
    images of a smaller size are among those of every larger one; val and test stay whole. Each size is an ordinary
    comparison, in a folder of its own. Where `output` holds a learning curve that was asked for with the same options,
    sizes that are finished there are not trained again. The other options: see `compare`.

    Raises HeadstartError, before anything is trained, for fewer than two sizes, a size that is smaller than the number
    of classes or larger than the data, and an `output` that holds something else.
    """
    seeds = [seed] if isinstance(seed, int) else list(seed)
    output = None if output is None else Path(output)
    names = [strategy.name for strategy in named(strategies)]
    if sizes is not None and len(set(sizes)) < 2:
        raise HeadstartError(f"a learning curve needs two sizes or more, and {len(set(sizes))} was given")
    resumed = output is not None and (output / runs.CURVE).exists()
    refuse_impossible(epochs, image_size, seeds, None if resumed else output)
    if isinstance(data, str | Path):
        data = load(data, offline=offline, image_size=image_size)
    elif callable(data):
        data = data()
    parts = {size: limited(data, size) for size in chosen_sizes(data, sizes)}
    asked = {
        "fingerprint": data.fingerprint,
        "strategies": names,
        "seeds": seeds,
        "backbone": backbone,
        "weights": None if weights is None else str(weights),
        "image_size": image_size,
        "epochs": epochs,
    }
    folder = _folder(output, data.name, asked)
    say(f"{folder}: {', '.join(f'{size:,}' for size in parts)} training images")
    for size, part in parts.items():
        place = runs.folder_of_size(folder, size)
        if runs.is_finished(place):
            say(f"{size:,} training images: finished before")
            continue
        shutil.rmtree(place, ignore_errors=True)  # what a killed process left of it
        options: dict[str, Any] = {"image_size": image_size, "epochs": epochs, "seed": seeds, "device": device}
        compare(
            part, names, backbone=backbone, weights=weights, offline=offline, output=place, command=command, **options
        )
    curve = read_curve(folder)
    curve.save()
    write_figure(curve)
    runs.write_checksums(folder)
    return curve


def chosen_sizes(data: Dataset, sizes: Sequence[int | str] | None = None) -> list[int]:
    """The sizes of a learning curve in numbers, smallest first; see `learning_curve`."""
    whole = len(data.train)
    if sizes is None:
        sizes = [*(size for size in SIZES if len(data.class_names) <= size < whole), ALL]
    chosen = sorted({whole if size == ALL else int(size) for size in sizes})
    if len(chosen) < 2:
        raise HeadstartError(
            f"a learning curve needs two sizes or more, and {data.name} with {whole:,} training images gives "
            f"{chosen[0]:,} alone: name smaller ones"
        )
    return chosen


def _folder(output: Path | None, name: str, asked: dict[str, Any]) -> Path:
    """The folder of a curve, new or to go on with; what was asked for is kept there before anything else."""
    if output is None or not (output / runs.CURVE).exists():
        folder = runs.new_folder(f"{name}-curve", output)
        runs.write_json(folder / runs.CURVE, {"asked": asked})
        return folder
    before = runs.read_json(output / runs.CURVE).get("asked", {})
    for key, value in asked.items():
        if before.get(key) != value:
            raise HeadstartError(
                f"{output} holds a learning curve with {key} {before.get(key)}, not {value}: name a new folder with "
                "--output, or ask for the same"
            )
    return output
