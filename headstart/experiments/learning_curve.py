"""Train the strategies on more and more images of one data set: a comparison a size, and what they say together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch.distributed import is_torchelastic_launched

from headstart import __version__
from headstart.data.dataset import Dataset
from headstart.data.load import limited
from headstart.errors import HeadstartError
from headstart.experiments.compare import Data, data_of, data_or_name, run_comparison
from headstart.experiments.found import find_backbones
from headstart.options import OF_LOADING, OF_RESULT, Options
from headstart.report.learning_curve import write_figure
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.files import write_json
from headstart.results.learning_curve import Curve, read_curve
from headstart.results.request import begin, read_request
from headstart.results.writing import new_folder, refuse_taken, writing
from headstart.runtime.console import say
from headstart.runtime.device import chosen_probes
from headstart.runtime.failures import machine_errors
from headstart.values import ALL, NO_LIMIT, given
from headstart.values import sizes as read_sizes

SIZES = (100, 300, 1000, 3000, 10_000)  # and all: what is tried unless asked otherwise
LOADED: dict[str, Any] = {each: getattr(Options(), each) for each in OF_LOADING}  # of data that is loaded already
ONE_SPLIT = "none"  # all sizes are tested on the same images


def learning_curve(
    data: Data = "cifar10",
    sizes: Sequence[int | str] | None = None,
    strategies: Sequence[str] | None = None,
    **options: Any,
) -> Curve:
    """Compare strategies on several numbers of training images; all is written to a new folder, `runs/<data
    set>-curve-<n>` or `output`.

    sizes: numbers of training images, "all" for all there are (default: those of SIZES that the data has, and all). The
    images of a smaller size are among those of every larger one; val and test stay whole. Each size is an ordinary
    comparison, in a folder of its own. Where `output` holds a learning curve that was asked for with the same options,
    it is resumed: runs that are finished there are not trained again. The other options are those of `compare`; a
    time limit is for all sizes together.

    Raises HeadstartError, before anything is trained, for fewer than two sizes, a size that is smaller than the number
    of classes or larger than the data, and an `output` that holds something else.
    """
    if strategies is not None:
        options["strategies"] = strategies
    return run_learning_curve(data, None if sizes is None else given("sizes", sizes, read_sizes), Options.of(options))


@machine_errors()
def run_learning_curve(
    data: Data, sizes: Sequence[int | str] | None, options: Options, started: float | None = None
) -> Curve:
    """`learning_curve`, with its options read. started: see `run_comparison`."""
    started = time.perf_counter() if started is None else started
    if is_torchelastic_launched():
        raise HeadstartError("a learning curve is not for torchrun: --devices N starts the processes itself")
    if options.folds not in ("auto", ONE_SPLIT):
        raise HeadstartError("a learning curve tests every size on the same images: it has no --folds")
    options = replace(options, folds=ONE_SPLIT)
    if sizes is not None and len({str(size) for size in sizes}) < 2:
        raise HeadstartError(f"a learning curve needs two sizes or more, and {len(sizes)} was given")
    given("data", data, data_or_name)
    refuse_taken(options.output, "learning curve")
    options = replace(options, keep=len(options.backbone))  # a curve needs every candidate at every size
    begun = None if options.output is None else read_request(options.output)
    found = find_backbones(options, begun)
    data = data_of(data, options)
    parts = {size: limited(data, size) for size in chosen_sizes(data, sizes)}
    request = {
        "headstart": __version__,
        "options": {key: value for key, value in options.as_json().items() if key in OF_RESULT},
        "dataset": {"name": data.name, "fingerprint": data.fingerprint, "fit": data.fit},
        "weights": found.as_json("name", "sha256"),
        **({"missing": dict(found.missing)} if found.missing else {}),
    }
    if found.missing:  # at every size, also where they could be had again by then
        options = replace(options, backbone=tuple(each.name for each in found.weights))
    folder = options.output or new_folder(f"{data.name}-curve")
    folder.mkdir(parents=True, exist_ok=True)
    limit = options.limit(usual=None)
    with writing(folder, options.command):
        kept = begin(folder, "learning curve", request, options.command)
        before = kept.get("spent", 0.0)
        say(f"{folder}: {', '.join(f'{size:,}' for size in parts)} training images")
        for place, (size, part) in enumerate(parts.items()):
            output = runs.folder_of_size(folder, size)
            left: float | str = NO_LIMIT  # what is usual for one comparison would bend the curve
            if limit is not None:  # what is left of it, shared equally between the sizes that are left
                left = max(1.0, (limit - before - (time.perf_counter() - started)) / (len(parts) - place))
                left = (read_request(output) or {"options": {"time_limit": left}})["options"]["time_limit"]
            asked = replace(options, output=output, time_limit=left, train_limit=None, **LOADED)
            if runs.is_finished(output):
                run_comparison(part, asked)
                continue
            (folder / runs.CHECKSUMS).unlink(missing_ok=True)  # it is not finished any more
            try:
                run_comparison(part, asked, whole=kept)
            finally:  # for one that is resumed
                kept["probes"] = {**kept.get("probes", {}), **chosen_probes()}
                kept["spent"] = before + time.perf_counter() - started
                write_json(folder / runs.REQUEST, kept)
        curve = read_curve(folder)
        curve.save()
        write_figure(curve)
        write_checksums(folder)
    return curve


def chosen_sizes(data: Dataset, sizes: Sequence[int | str] | None = None) -> list[int]:
    """The sizes of a learning curve in numbers, smallest first; see `learning_curve`."""
    most = len(data.train)
    if sizes is None:
        sizes = [*(size for size in SIZES if len(data.class_names) <= size < most), ALL]
    chosen = sorted({most if size == ALL else int(size) for size in sizes})
    if len(chosen) < 2:
        raise HeadstartError(
            f"a learning curve needs two sizes or more, and {data.name} with {most:,} training images gives "
            f"{chosen[0]:,} alone: name smaller ones"
        )
    return chosen
