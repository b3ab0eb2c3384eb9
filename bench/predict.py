"""`headstart predict` of photos of 12 megapixels beside a plain torchvision loop: images a second, and peak memory.

python bench/predict.py RUN [COUNT]     RUN: a comparison, or one of its runs; COUNT: photos, 1,000 by default

The photos are parts of scikit-learn's two, enlarged to 4000 x 3000 with a camera's noise, as JPEG; MADE of them differ,
the others are further names of those. The peer is what one would write: a data set of files, Pillow, torchvision's
bicubic Resize, a DataLoader with a worker a core, the same network in fp32. Each is a process of its own, start-up
included; memory is that of all its processes together, with what they share counted once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from folder import processes
from PIL import Image

WIDTH, HEIGHT, QUALITY, NOISE = 4000, 3000, 92, 4  # pixels, pixels, of JPEG, standard deviation of a value
MADE = 40
GOAL = 1.5e9  # bytes
BATCH, WORKERS = 32, os.cpu_count() or 1


def make_photos(folder: Path, count: int) -> None:
    """Write `count` JPEG files."""
    from sklearn.datasets import load_sample_images

    sources = [Image.fromarray(each) for each in load_sample_images().images]
    draw = np.random.default_rng(0)
    for number in range(count):
        file = folder / f"{number:04}.jpg"
        if number >= MADE:
            os.link(folder / f"{number % MADE:04}.jpg", file)
            continue
        source = sources[number % len(sources)]
        left, top = draw.integers(0, source.width // 4), draw.integers(0, source.height // 4)
        part = source.crop((left, top, left + source.width * 3 // 4, top + source.height * 3 // 4))
        pixels = np.asarray(part.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
        noisy = pixels + NOISE * draw.standard_normal(pixels.shape, np.float32)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, quality=QUALITY)


def peer(run: str, folder: str) -> None:
    """Classify all files of a folder, and print a line each."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms.v2 import Compose, InterpolationMode, PILToTensor, Resize

    from headstart.inference.classifier import Classifier

    class Files(Dataset):
        def __init__(self, side: int):
            self.files = sorted(Path(folder).iterdir())
            self.prepared = Compose([Resize((side, side), InterpolationMode.BICUBIC), PILToTensor()])

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, index: int) -> torch.Tensor:
            with Image.open(self.files[index]) as image:
                return self.prepared(image.convert("RGB"))

    classifier = Classifier.load(run)
    network, files = classifier.network.eval(), Files(classifier.sides[-1])
    at = 0
    with torch.inference_mode():
        for images in DataLoader(files, batch_size=BATCH, num_workers=WORKERS):
            probabilities = (network(images) / classifier.temperature).softmax(1)
            for file, first in zip(files.files[at : at + BATCH], probabilities.argmax(1), strict=True):
                print(file, classifier.class_names[first])
            at += len(images)


def memory(session: int) -> int:
    """Bytes of a session's processes; of what several have, each counts its share."""
    total = 0
    for process in processes(session):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and the peak of memory in bytes."""
    before, started = os.times(), time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.1)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, busy, peak


def main(run: str, count: int) -> None:
    """Print a line each."""
    with tempfile.TemporaryDirectory() as there:
        photos = Path(there) / "photos"
        photos.mkdir()
        make_photos(photos, count)
        size = np.mean([each.stat().st_size for each in photos.iterdir()]) / 1e6
        print(f"{count:,} photos of {WIDTH} x {HEIGHT} pixels, {size:.1f} MB each\n")
        print(f"{'':20}{'s':>8}{'processor s':>13}{'photos/s':>10}{'peak GB':>9}")
        answers = str(Path(there) / "answers.csv")
        commands = {
            "headstart predict": ["-m", "headstart", "predict", run, str(photos), "-o", answers],
            "torchvision": [__file__, "peer", run, str(photos)],
        }
        for name, command in commands.items():
            seconds, busy, peak = measured([sys.executable, *command])
            over = "" if peak < GOAL or name != "headstart predict" else f"  more than {GOAL / 1e9} GB"
            print(f"{name:20}{seconds:8.0f}{busy:13.0f}{count / seconds:10.2f}{peak / 1e9:9.2f}{over}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "peer":
        peer(*sys.argv[2:])
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
