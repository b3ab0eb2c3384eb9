"""What the soak scripts share: a comparison of a second, typed as a person types it, in a process that can be killed.

Each command runs in a fork of a process that has imported all of headstart, with one thread, so that hundreds of them
take minutes. Two things are not as they are when it is typed: a checkpoint is kept after every epoch, short as these
are (some batches of 16), and no figure is drawn (five of six seconds); their files are written all the same.
"""

from __future__ import annotations

import csv
import gc
import importlib
import io
import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

torch.set_num_threads(1)  # a fork has its parent's threads no more

CLASSES, PER_CLASS, SIDE = ("red", "green", "blue"), 40, 16
EPOCHS, BATCH = 4, 16
ONE, TWO, FOLDS = "one trial", "two trials", "three folds"
KINDS = {ONE: "--folds none --seeds 1", TWO: "--folds none --seeds 2", FOLDS: "--folds 3"}  # of comparisons
MEASURED = {"probes", "seconds", "fit_seconds", "frozen_seconds", "images_per_second", "latency_ms"}  # by a clock
TYPED = {"command", "directory"}  # where it was, as it was
TOLD_OF_THOSE = ("SHA256SUMS", "MODEL_CARD.md", "report.html", "figures/accuracy_vs_time.png")  # files that have them
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><g id="nothing"/></svg>'
EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}
MODULES = "modules.json"
LONGEST = 600  # seconds that one command may take


def plant(folder: Path) -> Path:
    """A folder of small photos: noise with more of one channel, a class a channel."""
    random = np.random.default_rng(0)
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = random.integers(0, 120, (SIDE, SIDE, 3))
            pixels[:, :, channel] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def compare(photos: Path, output: Path, kind: str = TWO) -> list[str]:
    """What is typed for a comparison of such a kind: short trials of one strategy."""
    words = f"compare {photos} --strategies base-cnn --epochs {EPOCHS} --device cpu {KINDS[kind]} --output {output}"
    return words.split()


class Batches:
    """How many batches were trained on, by all processes together."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        """Until now."""
        return struct.unpack("q", self._shared[:8])[0]

    def one_more(self) -> None:
        """One was trained on."""
        self._shared[:8] = struct.pack("q", self.count + 1)


def finished(place: Path) -> Path:
    """A finished comparison, its photos in place/photos, its cache in place/cache; place/modules.json lists what it
    imported."""
    photos, modules, log = plant(place / "photos"), place / MODULES, place / "first.log"
    command = compare(photos, place / "first")
    if ended(forked(command, place / "cache", log, last=lambda: modules.write_text(json.dumps([*sys.modules])))):
        raise RuntimeError(log.read_text())
    return place / "first"


def warm(place: Path) -> Path:
    """`finished`, and import whatever that did, so that no fork has to."""
    folder = finished(place)
    for name in json.loads((place / MODULES).read_text()):
        with suppress(Exception):
            importlib.import_module(name)
    gc.freeze()  # a collection would touch, and so copy, all of that in every fork
    return folder


def forked(
    arguments: Sequence[str],
    cache: Path,
    log: Path,
    first: Callable[[], Any] = int,
    batches: Batches | None = None,
    last: Callable[[], Any] = int,
) -> int:
    """Run a command of headstart in a process of its own, whose number is returned; what it says goes to `log`.

    first, last: called in that process before and after.
    """
    sys.stdout.flush()
    if number := os.fork():
        return number
    code = 70  # a mistake of these scripts
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(out, stream)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", 1, closefd=False) for stream in (1, 2))
        os.environ["HEADSTART_CACHE"] = str(cache)
        _make_cheap(batches)
        from headstart.cli import main

        first()
        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        last()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _make_cheap(batches: Batches | None) -> None:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from headstart.report import charts, images
    from headstart.results.files import write_bytes
    from headstart.strategies import STRATEGIES
    from headstart.training import checkpoint, fit

    row = STRATEGIES["base-cnn"]
    STRATEGIES["base-cnn"] = replace(row, recipe=replace(row.recipe, batch_size=BATCH))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG")
    png = buffer.getvalue()

    def chart(name: str, draw: Any, caption: str, words: str, path: Path | None = None) -> charts.Chart:
        if path is not None:
            write_bytes(path, png)
        return charts.Chart(name, name, caption, Markup(SVG), Markup(SVG))

    charts._chart = chart
    for home, name in ((charts.figures, "confusion"), (images, "samples"), (images, "class_balance")):
        setattr(home, name, lambda *_: Figure())
    Figure.savefig = lambda self, file, **_: file.write(png)
    checkpoint.SHARE = float("inf")
    told = fit._told

    def counted(*asked: Any) -> Iterator[Any]:
        for batch in told(*asked):
            yield batch
            if batches is not None:
                batches.one_more()

    fit._told = counted


def ended(number: int) -> int:
    """The exit code of a process, once it has ended; minus the signal where one ended it."""
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    raise TimeoutError(f"a command took longer than {LONGEST} s")


def seconds_of(number: int) -> float:
    """What a process has computed until now."""
    return time.clock_gettime(((~number) << 3) | 2)  # as Linux names that clock


def killed_after(number: int, seconds: float) -> bool:
    """Kill a process by signal 9 once it has computed for so long; False where it had ended before."""
    while not os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if (left := seconds - seconds_of(number)) <= 0:
            os.kill(number, signal.SIGKILL)
            break
        time.sleep(max(left, 0.001))
    return ended(number) == -signal.SIGKILL


def watch(folder: Path, log: Path, number: int | None = None, act: Callable[[], Any] = int) -> None:
    """Write down, from now on, what this process does to files below a folder: made, opened to be written, flushed,
    renamed, removed. act: is called before the event of this number, counted from 0."""
    file, flush = log.open("w", buffering=1), os.fsync
    seen = count()

    def happens(what: str, path: object) -> None:
        if next(seen) == number:
            act()
        file.write(f"{what} {os.path.relpath(str(path), folder)}\n")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_ACCMODE | os.O_CREAT)
        if (event in EVENTS or writes) and str(arguments[0]).startswith(f"{folder}"):
            happens(event, arguments[0])

    def flushed(number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").readlink()
        if path.is_relative_to(folder):
            happens("os.fsync", path)
        flush(number)

    os.fsync = flushed
    sys.addaudithook(hook)


def tell(found: Iterable[Any], table: Callable[[list[Any]], str]) -> None:
    """Print what is wrong as it is found, then the table; the exit code says whether anything was."""
    outcomes = []
    for outcome in found:
        outcomes.append(outcome)
        if outcome.is_wrong or len(outcomes) % 20 == 0:
            print(f"{len(outcomes)}: {'WRONG' if outcome.is_wrong else 'so far'}: {outcome}", flush=True)
    print(table(outcomes))
    sys.exit(any(outcome.is_wrong for outcome in outcomes) or not outcomes)


def differences(one: Path, other: Path) -> list[str]:
    """Which files of two folders differ in anything that no clock measured, or are in one of them alone."""
    names = {
        path.relative_to(folder).as_posix() for folder in (one, other) for path in folder.rglob("*") if path.is_file()
    }
    return [name for name in sorted(names.difference(TOLD_OF_THOSE)) if _content(one / name) != _content(other / name)]


def _content(path: Path) -> Any:
    if not path.exists():
        return None
    if path.suffix == ".json":
        return _unmeasured(json.loads(path.read_text()))
    if path.suffix == ".csv":
        return [_unmeasured(row) for row in csv.DictReader(io.StringIO(path.read_text()))]
    return path.read_bytes()


def _unmeasured(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _unmeasured(value) for key, value in content.items() if key not in MEASURED | TYPED}
    return [_unmeasured(each) for each in content] if isinstance(content, list) else content
