"""A folder of very many photographs: how long it takes to check and to train on, and how much memory.

Makes N JPEG files (200,000 where no argument says otherwise) of 96 x 72 pixels in ten classes, runs `headstart check`
on them twice and `headstart compare` once, and prints for each the seconds, the peak of memory that belongs to its
processes alone (all of them together), and the peak with the mapped files that the kernel may drop at any time.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10
COMMANDS = {
    "check": ["check"],
    "check again": ["check"],
    "base-cnn, frozen": [
        "compare",
        "--strategies",
        "base-cnn",
        "frozen",
        "--epochs",
        "1",
        "--image-size",
        "64",
        "--offline",
    ],
}
BACKBONE = ["--backbone", "tf_efficientnet_lite0.in1k"]


def make_photographs(root: Path, count: int) -> None:
    """Write `count` different JPEG files, root/<class>/<number>.jpg."""
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = generator.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        coarse[..., number % 3] |= 128 * (number % CLASSES > 4)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((96, 72), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        folder = root / f"class {number % CLASSES}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(buffer.getvalue())


def processes(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getsid(int(entry.name)) == session:
                found.append(int(entry.name))
        except ProcessLookupError:
            pass
    return found


def memory(session: int) -> tuple[int, int]:
    """Bytes that the processes of a session have for themselves, and all that is resident."""
    own = resident = 0
    for process in processes(session):
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}
        own += sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0)
        resident += sizes.get("VmRSS", 0)
    return own, resident


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, and the two peaks in GiB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    peaks = (0, 0)
    while process.poll() is None:
        peaks = tuple(map(max, peaks, memory(process.pid)))
        time.sleep(0.2)
    if process.returncode > 1:
        sys.exit(f"{' '.join(command)} failed")
    return time.perf_counter() - started, *(peak / 2**30 for peak in peaks)


def main() -> None:
    """Print a line a command."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        make_photographs(photographs, count)
        os.environ["HEADSTART_CACHE"] = str(Path(folder) / "cache")
        os.chdir(folder)
        print(f"{f'{count:,} files':20}{'s':>8}{'us/file':>10}{'own GiB':>10}{'with files':>12}", flush=True)
        for name, arguments in COMMANDS.items():
            command = [sys.executable, "-m", "headstart", arguments[0], str(photographs), *arguments[1:]]
            seconds, own, resident = measured(command)
            print(f"{name:20}{seconds:8.0f}{1e6 * seconds / count:10.0f}{own:10.2f}{resident:12.2f}", flush=True)


if __name__ == "__main__":
    main()
