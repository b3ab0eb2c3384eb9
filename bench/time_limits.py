"""How well `headstart compare --time-limit` keeps a limit, and what is left of the accuracy under it.

DATA is compared under each limit, one after the other, each time by a new process with nothing kept but the images
themselves. The seconds are those by the clock of whoever typed the command: start, import and report included. The
first one is when the first accuracy was on the screen. Arguments after `--` go to `headstart compare`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from headstart.values import time_limit

HEADSTART = (sys.executable, "-m", "headstart")
FIRST = re.compile(r"about \d+ %|\d+ %? on test")  # of a first look, or of a first run


def main() -> None:
    """Compare under every limit, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("limits", nargs="+", metavar="LIMIT", help="such as 90s, 2m, 1h")
    own, others = split(sys.argv[1:])
    asked = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        run("check", asked.data, cache=images)
        print(f"{'limit':>6} {'took':>8} {'of it':>7} {'first':>7}   accuracy", flush=True)
        for limit in asked.limits:
            cache = shutil.copytree(images, Path(place) / "cache")
            output = Path(place) / "run"
            seconds, first = run(
                "compare", asked.data, "--time-limit", limit, "--output", str(output), *others, cache=cache
            )
            rows = json.loads((output / "comparison.json").read_text(encoding="utf-8"))["summary"]
            accuracies = ", ".join(f"{name} {100 * row['accuracy']['mean']:.2f}" for name, row in rows.items())
            share = seconds / time_limit(limit)
            print(f"{limit:>6} {seconds:7.1f}s {100 * share:6.1f}% {first:6.1f}s   {accuracies}", flush=True)
            shutil.rmtree(cache)
            shutil.rmtree(output)


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and what after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def run(*command: str, cache: Path) -> tuple[float, float]:
    """Run a command of headstart; its seconds, and those until a line told of an accuracy (the same where none did)."""
    started, first = time.perf_counter(), None
    environment = os.environ | {"HEADSTART_CACHE": str(cache)}
    with subprocess.Popen(
        [*HEADSTART, *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if first is None and FIRST.search(line):
                first = time.perf_counter() - started
    seconds = time.perf_counter() - started
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, first or seconds


if __name__ == "__main__":
    main()
