"""What an image costs, and how much memory all of them take, against their number, their size and the cores.

What one costs should not depend on how many there are, and memory should be that of the images alone.

Each number of images has a process and an empty cache of its own. CIFAR-10's 60,000 images are cut, or repeated beyond
that. The backbone runs at 96 pixels, to be done in minutes. Timed once each: the frozen pass over every image, and one
epoch of base-cnn, frozen and last20. Peak memory is what stays with the process (anonymous pages, half a second apart):
cached activations are read from a file that the system drops from memory when it likes.

`bench/scaling.py 5000 60000 15000@192 15000x1` takes these cases instead: images, at so many pixels a side of the
backbone, on so many threads.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

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
    if sys.argv[1:2] == ["measure"]:
        print(*measure(int(sys.argv[2]), int(sys.argv[3])))
        return
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
