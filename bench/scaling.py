"""What an image costs, and how much memory all of them take, against their number, their size and the cores.

What one costs should not depend on how many there are, and memory should be that of the images alone.

Each number of images has a process and an empty cache of its own. CIFAR-10's 60,000 images are cut, or repeated beyond
that. The backbone runs at 96 pixels, to be done in minutes. Timed once each: the frozen pass over every image, and one
epoch of base-cnn, frozen and last20. Peak memory is what stays with the process (anonymous pages, half a second apart):
cached activations are read from a file that the system drops from memory when it likes.

`bench/scaling.py 5000 60000 15000@192 15000x1` takes these cases instead: images, at so many pixels a side of the
backbone, on so many threads.

`bench/scaling.py metadata 1h` is about what is done with the number of images, not with their pixels: the search for
near-duplicates among synthetic pictures of 32 pixels; the store, of made-up rows and traits; cut and audit of a
folder, the similar pairs given; the table of activations, 64 numbers an image; the report, of made-up answers, 15 % of
the images tested. `bench/scaling.py metadata 1h 10000 30000` takes these sizes. What would end after the time is left
out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

CASES = ("1000", "5000", "15000", "60000", "300000", "1000000", "5000@64", "5000@128", "5000@192", "5000x1", "5000x2")
CASE = re.compile(r"(\d+)(?:@(\d+))?(?:x(\d+))?")
PIXELS = 96
STRATEGIES_TIMED = ("base-cnn", "frozen", "last20")
PHASES = ("frozen pass", *STRATEGIES_TIMED)


def measure(count: int, pixels: int) -> list[float]:
    """Seconds of each of PHASES on `count` images, the backbone at so many pixels a side, then the peak of memory in
    GiB and that of the images alone."""
    from headstart.data.dataset import Dataset, Split
    from headstart.data.load import load
    from headstart.models.backbones import load_backbone
    from headstart.runtime.device import make_fabric, seed_all
    from headstart.strategies import STRATEGIES, with_epochs
    from headstart.training.fit import TrainVal, fit
    from headstart.training.preparation import Pretrained, from_scratch

    peak = PeakMemory()
    cifar10 = load("cifar10")
    repeats, again = np.arange(count) % len(cifar10), np.arange(count) // len(cifar10)
    images = np.asarray(cifar10.images)[repeats]
    images[:, 0, 0, 0] += again.astype(np.uint8)  # else one image would be computed once, however often it is there
    every, few = np.arange(count), np.arange(500)
    split, labels = Split("holdout", every, few, few), cifar10.labels[repeats]
    data = Dataset("scaling", images, labels, cifar10.class_names, (split,), "CIFAR-10, cut or repeated", "scaling")
    del cifar10

    os.environ["HEADSTART_CACHE"] = os.environ["SCALING_CACHE"]  # from here on: an empty cache
    seed_all(0)
    fabric, strategies = make_fabric("cpu"), [with_epochs(STRATEGIES[name], 1) for name in STRATEGIES_TIMED]
    shares = [each.frozen_share for each in strategies if each.frozen_share is not None]
    frozen = Pretrained(load_backbone("auto", pixels, None), shares, data.image_shape, fabric.device)
    frozen.prepare(strategies[-1], data).samples(data.val, ("identity",))  # the engine is made
    seconds = []
    for strategy in strategies:
        pretrained = strategy.frozen_share is not None
        prepared = frozen.prepare(strategy, data) if pretrained else from_scratch(strategy, data, fabric.device)
        samples, _ = prepared.samples(data.train, ("identity",))
        val, _ = prepared.samples(data.val, ("identity",))
        started = time.perf_counter()
        fit(prepared.network.trainable, TrainVal(samples, val), strategy.recipe, fabric, 0)
        seconds.append(time.perf_counter() - started)
    _, pass_seconds = frozen.prepare(strategies[-1], data).samples(data.train, ("identity",))
    return [pass_seconds, *seconds, peak.gib(), images.nbytes / 2**30]


def search(count: int) -> None:
    """Near-duplicates among so many pictures, of which every fiftieth is another one with noise."""
    from headstart.data.duplicates import near_duplicates

    draw, step = np.random.default_rng(0), 10_000
    images = np.memmap(Path(os.environ["HEADSTART_CACHE"]) / "images", np.uint8, "w+", shape=(count, 32, 32, 3))
    for start in range(0, count, step):
        coarse = draw.integers(0, 256, (min(step, count - start), 8, 8, 3), dtype=np.uint8)
        images[start : start + step] = coarse.repeat(4, axis=1).repeat(4, axis=2)
    images[49::50] = images[::50][: len(images[49::50])] // 16 * 16
    data = data_of(count, images)
    begin()
    near_duplicates(data)


def store(count: int) -> None:
    """Keep what was read of so many files, and find it again."""
    from headstart.data import store as stores
    from headstart.runtime.rows import RowTable

    def fill(table: RowTable, listing: Any, places: Any, keys: list[str], reading: Any) -> tuple[int, dict[str, Any]]:
        with table.filling(keys) as rows:
            for start in range(0, count, stores.CHUNK):
                some = range(start, min(start + stores.CHUNK, count))
                rows.values[rows.rows[some]] = 1
                rows.keep(some, traits(some))
        return count, {}

    stores._decode = fill
    contents = [""] * count, digests(range(count))
    begin()
    for _ in range(2):
        stores._open(cast("Any", None), contents, "scaling", stores.Reading(8, "stretch"))


def cut_and_audit(count: int) -> None:
    """Cut a table of so many files into parts, and audit it; every hundredth is an exact copy, every hundredth has a
    near one."""
    from headstart.data import audit, duplicates, splits

    draw = np.random.default_rng(0)
    pairs = np.sort(draw.integers(0, count, (count // 100, 2)))[:, ::-1]
    similar = pd.DataFrame(pairs, columns=["row", "other_row"]).assign(similarity=0.97)
    duplicates.alike = lambda dataset: similar  # type: ignore[assignment]
    files = pd.DataFrame(traits(range(count))).assign(path=[f"{n % 10}/{n}.jpg" for n in range(count)])
    files.loc[99::100, ["sha256", "square"]] = files.loc[98::100, ["sha256", "square"]].to_numpy()[: count // 100]
    data = replace(data_of(count, np.broadcast_to(np.uint8(1), (count, 8, 8, 3))), files=files)
    begin()
    data = splits.cut_missing(data, np.full(count, ""), 0)
    assert data.fingerprint
    audit.audit(data)


def activations(count: int) -> None:
    """Keep what a frozen part gives for so many images, and find it again."""
    from headstart.runtime.rows import RowTable
    from headstart.training.activations import FrozenPass

    class Pass(FrozenPass):
        cuts, choice, image_shape = [1], {"engine": "none"}, (8, 8, 3)

        def __init__(self) -> None:
            pass

        def engine(self, images: np.ndarray, write: Any) -> None:  # type: ignore[override]
            write(0, [np.ones((len(images), 64), np.float32)])

        def _table(self, collection: str, cut: int) -> RowTable:
            return RowTable("activations", collection, {}, (64,), np.float16)

    data = data_of(count, np.broadcast_to(np.uint8(1), (count, 8, 8, 3)))
    begin()
    for _ in range(2):
        Pass().samples(data.train, ("identity",), 1)


def report(count: int) -> None:
    """Compare four runs, tested on 15 % of so many images, and write the report."""
    sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / place) for place in ("", "report")]
    from small_runs import FOUR, make_dataset, write_runs

    from headstart.report.html import write_report

    folder = Path(os.environ["HEADSTART_CACHE"]) / "runs"
    data = make_dataset(per_class=int(0.15 * count / 10))
    begin()
    write_report(write_runs(folder, FOUR, (0,), data))


def data_of(count: int, images: np.ndarray) -> Any:
    """A data set of these images, all of which train, ten classes."""
    from headstart.data.dataset import Dataset, Split

    every, none = np.arange(count), np.arange(0)
    names = tuple("abcdefghij")
    data = Dataset("scaling", images, every % 10, names, (Split("all", every, none, none),), "made up", "scaling")
    data.__dict__.update(digests=np.array(digests(range(count))))
    return data


def digests(numbers: range) -> list[str]:
    """As SHA-256 are written."""
    return [f"{number * 0x9E3779B97F4A7C15 % 2**64:064x}" for number in numbers]


def traits(numbers: range) -> list[dict[str, Any]]:
    """What the store says of files."""
    from headstart.data.store import FileTraits
    from headstart.data.traits import Traits

    said = asdict(FileTraits("", "JPEG", 96, 72, "turned by its EXIF orientation")) | asdict(Traits("", False, 200))
    return [said | {"square": digest, "sha256": digest} for digest in digests(numbers)]


METADATA = {
    "near-duplicates": search,
    "store": store,
    "cut and audit": cut_and_audit,
    "activations": activations,
    "report": report,
}
SIZES = ("10000", "30000", "100000", "300000", "1000000")
BEGUN: list[tuple[float, float, PeakMemory]] = []


def begin() -> None:
    """What is made up is ready: from here on time and memory count."""
    BEGUN.append((time.perf_counter(), time.process_time(), PeakMemory()))


def metadata(limit: str, sizes: Sequence[str]) -> None:
    """Print a row a size: seconds, processor seconds of this process, and the peak of anonymous memory of each."""
    from headstart.values import time_limit

    end = time.monotonic() + float(time_limit(limit))
    print("| images |", " | ".join(METADATA), "|\n|---|", "---|" * len(METADATA), sep="", flush=True)
    for size in sizes:
        cells = []
        for name in METADATA:
            with tempfile.TemporaryDirectory() as cache:
                asked = [sys.executable, __file__, "phase", name, size]
                env = os.environ | {"HEADSTART_CACHE": cache}
                try:
                    left = max(0.1, end - time.monotonic())
                    done = subprocess.run(asked, env=env, text=True, stdout=subprocess.PIPE, check=True, timeout=left)
                    cells.append(done.stdout.splitlines()[-1])
                except subprocess.TimeoutExpired:
                    cells.append("no time left")
        print(f"| {int(size):,} |", " | ".join(cells), "|", flush=True)


def phase(name: str, count: int) -> None:
    """Print what one of METADATA takes."""
    METADATA[name](count)
    [(began, used, peak)] = BEGUN
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    print(f"{seconds:,.1f} s ({processor:,.1f}), {peak.gib():.2f} GiB")


class PeakMemory:
    """Watches this process's anonymous memory from now on."""

    def __init__(self) -> None:
        self.kib = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.done.wait(0.5):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            self.kib = max(self.kib, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    def gib(self) -> float:
        """The most there was."""
        self.done.set()
        self.thread.join()
        return self.kib / 2**20


def main() -> None:
    """Print a line a case: microseconds an image for each phase, ratios to the first line, memory."""
    match sys.argv[1:]:
        case ["measure", count, pixels]:
            return print(*measure(int(count), int(pixels)))
        case ["metadata", limit, *sizes]:
            return metadata(limit, sizes or SIZES)
        case ["phase", name, count]:
            return phase(name, int(count))
    print(f"{'microseconds an image':>21}", *(f"{phase:>18}" for phase in PHASES), f"{'peak GiB':>10}{'of images':>10}")
    first: list[float] = []
    for case in sys.argv[1:] or CASES:
        match = CASE.fullmatch(case)
        if match is None:
            sys.exit(f"{case!r} is no case such as 5000, 5000@192 or 5000x1")
        count, pixels, threads = int(match[1]), match[2] or str(PIXELS), match[3]
        with tempfile.TemporaryDirectory() as cache:
            done = subprocess.run(
                [sys.executable, __file__, "measure", str(count), pixels],
                env=os.environ | {"SCALING_CACHE": cache} | ({"OMP_NUM_THREADS": threads} if threads else {}),
                check=True,
                text=True,
                stdout=subprocess.PIPE,
            )
        *seconds, peak, own = map(float, done.stdout.splitlines()[-1].split())
        each = [1e6 * s / count for s in seconds]
        first = first or each
        cells = (f"{cost:10,.0f} ({cost / at_first:.2f}x)" for cost, at_first in zip(each, first, strict=True))
        print(f"{case:>21}", *(f"{cell:>18}" for cell in cells), f"{peak:10.1f}{own:10.2f}", flush=True)


if __name__ == "__main__":
    main()
