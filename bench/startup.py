"""How long one waits before anything happens: the command's help, the import, the first training step.

Whole processes, one after another, median of several; CIFAR-10 and the backbone's probe are taken from the cache.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 7
FIRST_STEP = """
import headstart as hs
from headstart.runtime.device import make_fabric, seed_all
from headstart.strategies import STRATEGIES
from headstart.training.preparation import from_scratch
from headstart.training.fit import TrainVal, Watch, fit

data = hs.load("cifar10")
fabric, strategy = make_fabric("cpu"), STRATEGIES["{strategy}"]
seed_all(0)
prepared = from_scratch(strategy, data, fabric.device)
train, _ = prepared.samples(data.train, strategy.recipe.views)
val, _ = prepared.samples(data.val, ("identity",))


def stop(images):
    raise SystemExit


fit(prepared.network.trainable, TrainVal(train, val), strategy.recipe, fabric, 0, Watch(on_batch=stop))
"""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import headstart": ["-c", "import headstart"],
    "headstart --help": ["-m", "headstart", "--help"],
    "headstart compare --help": ["-m", "headstart", "compare", "--help"],
    "import torch": ["-c", "import torch"],
    "to base-cnn's first step": ["-c", FIRST_STEP.format(strategy="base-cnn")],
    "to deep-cnn's first step": ["-c", FIRST_STEP.format(strategy="deep-cnn")],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock seconds of one whole process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print a line a command: median, fastest and slowest, and the ratio to an empty Python."""
    empty = None
    print(f"{'command':28}{'median s':>10}{'min':>8}{'max':>8}{'ratio':>8}")
    for name, arguments in COMMANDS.items():
        seconds(arguments)  # warm-up: the files are in memory afterwards
        found = [seconds(arguments) for _ in range(REPEATS)]
        median = statistics.median(found)
        empty = empty or median
        print(f"{name:28}{median:10.3f}{min(found):8.3f}{max(found):8.3f}{median / empty:8.1f}", flush=True)


if __name__ == "__main__":
    main()
