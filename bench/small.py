"""A folder of few photographs: where each second of `headstart compare` goes.

Makes N photographs (300 where no argument says otherwise): images of CIFAR-10's first three classes, enlarged to 256 to
500 pixels and kept as JPEG. Compares on them in a new process, twice: with nothing kept from before, and with what the
first run kept. Prints for each stage the processor seconds of that process and its threads, which hardly move when
others use the machine too, and the seconds by the clock. Arguments after the number go to `headstart compare`.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLASSES = 3
STAGES = {  # what is called -> the stage that its seconds count for, less those of stages that begin within it
    "experiments.compare.find_backbones": "weights",
    "experiments.trial.load_backbone": "weights",
    "experiments.compare.data_of": "read, decode",
    "experiments.compare.examine": "look over",
    "training.engines.choose": "engine: measure",
    "training.engines.openvino": "engine: compile",
    "training.activations.FrozenPass.samples": "frozen pass",
    "experiments.trial.train": "fit",
    "experiments.trial.test": "test",
    "experiments.trial.saved_network": "saved network",
    "experiments.trial.forgotten": "forgetting",
    "experiments.trial.scores_of": "scores",
    "inference.classifier.Classifier.latency_ms": "latency",
    "experiments.compare.compare_runs": "comparison",
    "results.comparison.Comparison.save": "comparison",
    "report.heat.warmed": "heat maps",
    "report.images.keep_pictures": "pictures",
    "report.charts.result_charts": "figures",
    "report.charts.unfreezing_chart": "figures",
    "report.charts.balance_chart": "figures",
    "report.charts.confusion_pictures": "figures",
    "report.html.write_report": "page",
    "experiments.compare.write_report": "page",
    "experiments.compare.write_checksums": "checksums",
    "experiments.runner.run_trial": "rest of trials",
}

Seconds = tuple[float, float]  # of processors, by the clock


class Stopwatch:
    """Seconds by stage; a stage within another stops that one's watch."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.stages = ["rest"]
        self.since = self.now()

    @staticmethod
    def now() -> Seconds:
        """Both clocks."""
        return time.process_time(), time.perf_counter()

    def turn(self, change: Callable[[], Any]) -> None:
        """Charge the stage that runs with what passed, then change which one runs."""
        now = self.now()
        for clock in range(2):
            self.spent[self.stages[-1]][clock] += now[clock] - self.since[clock]
        self.since = now
        change()

    def timed(self, call: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The same function, its seconds charged to a stage: `fit` to that of its candidate."""

        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            name = f"fit {args[0].candidate.name}" if stage == "fit" else stage
            self.turn(lambda: self.stages.append(name))
            try:
                return call(*args, **kwargs)
            finally:
                self.turn(self.stages.pop)

        return timed


def run(arguments: list[str]) -> None:
    """`headstart ARGUMENTS` with a watch on; prints the seconds by stage as JSON, as its last line."""
    watch = Stopwatch()
    watch.stages.append("import")
    importlib.import_module("headstart.experiments.compare")
    importlib.import_module("headstart.report.screen")
    watch.turn(watch.stages.pop)
    for name, stage in STAGES.items():
        *path, last = name.split(".")
        owner: Any = importlib.import_module(".".join(["headstart", *path[:2]]))
        for each in path[2:]:
            owner = getattr(owner, each)
        setattr(owner, last, watch.timed(getattr(owner, last), stage))
    from headstart.cli import main

    main(arguments)
    watch.turn(lambda: None)
    print(json.dumps(watch.spent))


def make_photographs(root: Path, count: int) -> None:
    """Write `count` JPEG files, root/<class>/<number>.jpg."""
    import numpy as np
    from PIL import Image

    import headstart as hs

    train = hs.load("cifar10").train
    generator = np.random.default_rng(0)
    for number in range(count):
        label, place = number % CLASSES, number // CLASSES
        folder = root / f"class {label}"
        folder.mkdir(exist_ok=True)
        pixels = train.images[int(np.flatnonzero(train.labels == label)[place])]
        size = tuple(generator.integers(256, 501, 2).tolist())
        picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        picture.save(folder / f"{place}.jpg", quality=90)


def main() -> None:
    """Print a line a stage, in the order in which the first run came to them."""
    if sys.argv[1:2] == ["--run"]:
        return run(sys.argv[2:])
    count, options = int((sys.argv[1:] or ["300"])[0]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        make_photographs(photographs, count)
        environment = os.environ | {"HEADSTART_CACHE": str(Path(folder) / "cache")}
        command = [sys.executable, str(Path(__file__).resolve()), "--run", "compare", str(photographs), *options]
        for title in ("first run", "second run"):
            done = subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
            spent = json.loads(done.stdout.splitlines()[-1])
            spent["all"] = [sum(clock) for clock in zip(*spent.values(), strict=True)]
            print(f"{f'{title}, {count:,}':20}{'cpu s':>10}{'clock s':>10}")
            for stage, (processors, clock) in spent.items():
                print(f"{stage:20}{processors:10.1f}{clock:10.1f}", flush=True)


if __name__ == "__main__":
    main()
