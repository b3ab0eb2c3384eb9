"""Twenty users at `headstart demo` for two minutes, a tenth of their files bad: answers by status, seconds, memory.

    python bench/demo.py runs/cifar10-1 [--users 20] [--seconds 120]

The server is a process of its own, reached over loopback. Every user posts one file after the other: photos of several
sizes and, one in ten, what gives no image (truncated, text, empty, too many pixels, too many bytes, broken off).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SIZES = [(320, 240), (640, 427), (1600, 1200), (4032, 3024)]
BAD_SHARE = 0.1
EVERY_SECONDS = 5  # the server's memory is read


def main() -> None:
    """Start the server, let the users at it, print the tables; exit code 1 where there was a 5xx."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    asked = parser.parse_args()
    command = [sys.executable, "-m", "headstart", "demo", str(asked.run), "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = next(line for line in server.stderr if line.startswith("http")).split()[0]
        print(f"ready after {time.perf_counter() - started:.1f} s, {megabytes(server.pid):.0f} MB")
        found = asyncio.run(crowd(address, server.pid, asked.users, asked.seconds))
        server.send_signal(signal.SIGINT)
        server.wait(60)
    sys.exit(found)


async def crowd(address: str, pid: int, users: int, seconds: float) -> int:
    """All users at once, and the server's memory meanwhile; 1 where a status was 5xx."""
    files, bad = good_files(), bad_files()
    answers: list[tuple[int, float]] = []
    until = time.perf_counter() + seconds
    memory = asyncio.create_task(watch(pid))
    async with httpx2.AsyncClient(base_url=address, timeout=120, limits=httpx2.Limits(max_connections=users)) as client:
        await asyncio.gather(*(user(client, each, files, bad, until, answers) for each in range(users)))
    memory.cancel()
    statuses = Counter(status for status, _ in answers)
    good = sorted(spent for status, spent in answers if status == 200)
    print("status   " + ", ".join(f"{status or 'broken off'}: {times:,}" for status, times in sorted(statuses.items())))
    ninth = good[len(good) * 9 // 10]
    print(
        f"200s: {len(good) / seconds:.1f} a second, median {statistics.median(good):.2f} s, 90 % within {ninth:.2f} s"
    )
    return int(any(status >= 500 for status in statuses))


async def user(
    client: httpx2.AsyncClient,
    seed: int,
    files: list[bytes],
    bad: list[bytes | None],
    until: float,
    answers: list[tuple[int, float]],
) -> None:
    """One file after the other, and a heat map of every tenth; statuses and seconds go to `answers`."""
    chance = random.Random(seed)
    while time.perf_counter() < until:
        content = chance.choice(bad) if chance.random() < BAD_SHARE else chance.choice(files)
        path = "/heat?class=0" if chance.random() < 0.1 else "/classify"
        started = time.perf_counter()
        try:
            if content is None:  # a client that goes away in the middle of its file
                await asyncio.wait_for(client.post(path, content=broken_off(files[-1])), 0.3)
            else:
                status = (await client.post(path, content=content)).status_code
                answers.append((status, time.perf_counter() - started))
                if status == 429:
                    await asyncio.sleep(1)
        except (httpx2.HTTPError, TimeoutError):
            answers.append((0, time.perf_counter() - started))


async def broken_off(content: bytes) -> AsyncIterator[bytes]:
    """A part of a file, then nothing."""
    yield content[: len(content) // 2]
    await asyncio.sleep(60)


async def watch(pid: int) -> None:
    """Print the server's memory every few seconds."""
    started = time.perf_counter()
    while True:
        print(f"  {time.perf_counter() - started:5.0f} s {megabytes(pid):6.0f} MB", flush=True)
        await asyncio.sleep(EVERY_SECONDS)


def megabytes(pid: int) -> float:
    """Resident memory of a process, as Linux has it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def good_files() -> list[bytes]:
    """JPEGs of SIZES, the smaller ones more often."""
    photograph = Image.fromarray(load_sample_images().images[0])
    made = [encoded(photograph.resize(size), "JPEG") for size in SIZES]
    return [*made[:2] * 4, *made[2:3] * 2, made[3]]


def bad_files() -> list[bytes | None]:
    """What gives no image; None stands for a file that breaks off on its way."""
    noise = np.random.default_rng(0).bytes(30_000)
    whole = encoded(Image.fromarray(load_sample_images().images[1]), "JPEG")
    huge = encoded(Image.new("1", (9_000, 9_000)), "PNG")
    return [b"", noise, b"<html></html>", whole[:20_000], huge, bytes(25_000_000), None]


def encoded(image: Image.Image, kind: str) -> bytes:
    """An image as a file's bytes."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


if __name__ == "__main__":
    main()
