"""A comparison on a cluster of two nodes of which one dies, beside the same by the local runner.

Eight trials (two strategies, four seeds) of few small images. The nodes: two `dask worker` processes with nannies and
caches of their own, each with as many threads as this machine. In the middle one worker process is killed (its nanny
starts another), later one whole node, by SIGKILL. Then both folders are compared: weights, predictions and history bit
by bit, comparison.json field by field. It is bounded: LIMIT_SECONDS a comparison.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

LIMIT_SECONDS = 400
IMAGES = 180
PORT = 18786
COMPARE = """
import sys
import numpy as np
import headstart as hs

if __name__ == "__main__":
    generator = np.random.default_rng(0)
    labels = np.arange({images}) % 3
    images = generator.integers(0, 120, ({images}, 32, 32, 3))
    images[np.arange({images}), :, :, labels] += 60
    data = hs.from_arrays(images.astype(np.uint8), labels, ("red", "green", "blue"), name="few")
    hs.compare(data, strategies=["base-cnn", "frozen"], seed=[0, 1, 2, 3], epochs=40, folds="none", image_size=32,
               backbone="tf_efficientnet_lite0.in1k", offline=True, device="cpu", runner=sys.argv[2],
               output=sys.argv[1])
"""


def start(cache: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """A Python process with a cache of its own, which says nothing."""
    variables = os.environ | {"HEADSTART_CACHE": str(cache)} | environment
    with (cache.parent / f"{cache.name}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, *arguments], env=variables, stdout=log, stderr=log)


def compare(root: Path, name: str, runner: str, **environment: str) -> subprocess.Popen[bytes]:
    """`compare`, begun, into root/name."""
    script = root / "compare.py"
    script.write_text(COMPARE.format(images=IMAGES))
    return start(root / "cache-driver", str(script), str(root / name), runner, **environment)


def node(root: Path, name: str, threads: int) -> subprocess.Popen[bytes]:
    """A machine, as far as one process and its children can be one."""
    options = ["--nthreads", str(threads), "--nworkers", "1", "--no-dashboard", "--name", name]
    scratch = ["--local-directory", str(root / f"scratch-{name}")]
    return start(
        root / f"cache-{name}", "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{PORT}", *options, *scratch
    )


def finished(folder: Path) -> int:
    """How many runs a comparison has."""
    return len(list(folder.glob("*/*/metrics.json")))


def until(process: subprocess.Popen[bytes], folder: Path, runs: int) -> None:
    """Wait until so many runs are there, or it is over."""
    ends = time.perf_counter() + LIMIT_SECONDS
    while process.poll() is None and finished(folder) < runs and time.perf_counter() < ends:
        time.sleep(0.05)


def kill_worker(nanny: int) -> None:
    """SIGKILL the process that trains; its nanny starts another."""
    for child in psutil.Process(nanny).children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()


def kill_node(nanny: int) -> None:
    """SIGKILL a nanny and all that it started."""
    process = psutil.Process(nanny)
    children = process.children(recursive=True)
    process.kill()
    for child in children:
        if child.is_running():
            child.kill()


def differences(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """The names of fields that differ, numbers in lists left out."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from differences(one.get(key), other.get(key), f"{name}.{key}" if name else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from differences(left, right, f"{name}[]")
    elif one != other:
        yield name


def same_bits(one: Path, other: Path) -> tuple[int, int]:
    """How many of the runs' files that hold no seconds are the same, and how many there are: weights, predictions, and
    the losses of the history."""
    same = total = 0
    for path in sorted(one.glob("*/*/model.safetensors")):
        twin = other / path.relative_to(one)
        pairs = [(path.read_bytes(), twin.read_bytes())]
        left, right = (np.load(each.with_name("predictions.npz")) for each in (path, twin))
        pairs += [(left[key].tobytes(), right[key].tobytes()) for key in left.files]
        columns = [np.genfromtxt(each.with_name("history.csv"), delimiter=",", names=True) for each in (path, twin)]
        pairs += [(columns[0][key].tobytes(), columns[1][key].tobytes()) for key in ("train_loss", "val_loss")]
        same, total = same + sum(a == b for a, b in pairs), total + len(pairs)
    return same, total


def main() -> None:
    """Print what each comparison took, and what differs."""
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)

        def timed(name: str, runner: str, kills: tuple[int, int] | None = None, nodes: tuple[int, ...] = ()) -> None:
            started = time.perf_counter()
            address = {"DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{PORT}"} if nodes else {}
            process = compare(root, name, runner, **address)
            if kills:
                until(process, root / name, kills[0])
                kill_worker(nodes[0])
                print(f"  a worker was killed with {finished(root / name)} of 8 runs finished", flush=True)
                until(process, root / name, kills[1])
                kill_node(nodes[1])
                print(f"  a node was killed with {finished(root / name)} of 8 runs finished", flush=True)
            code = process.wait(timeout=LIMIT_SECONDS)
            print(f"{name:24}{time.perf_counter() - started:8.1f} s   exit code {code}", flush=True)

        timed("here", "here")
        options = ["--host", "127.0.0.1", "--port", str(PORT), "--no-dashboard"]
        processes = [start(root / "cache-scheduler", "-m", "distributed.cli.dask_scheduler", *options)]
        try:
            processes.append(node(root, "a", threads))
            timed("one node", "dask", nodes=(processes[1].pid,))
            processes.append(node(root, "b", threads))
            pids = processes[1].pid, processes[2].pid
            timed("two nodes", "dask", nodes=pids)
            timed("two nodes, two killed", "dask", kills=(2, 4), nodes=pids)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=30)
        for name in ("one node", "two nodes", "two nodes, two killed"):
            same, total = same_bits(root / "here", root / name)
            found = [json.loads((root / each / "comparison.json").read_text()) for each in ("here", name)]
            fields = sorted(set(differences(*found)))
            print(
                f"{name}: {same} of {total} arrays of the runs are the same bits; comparison.json differs in {fields}"
            )
        print((root / "cache-driver.log").read_text()[-3000:] if "-v" in sys.argv else "", end="")


if __name__ == "__main__":
    main()
