"""What the search for near-duplicates finds, how often it errs, and what it costs.

    bench/duplicates.py recall FOLDER...      of 100 edited copies among the images of a folder, how many are found
    bench/duplicates.py sheet OUT FOLDER...   30 pairs called near-duplicates, to be looked at
    bench/duplicates.py cost 1000 60000       seconds and memory at so many images of 32 pixels

`cifar10` in place of a folder means CIFAR-10, of which `recall` takes 5,000. Beyond its 60,000 images `cost` takes them
turned by quarters, as negatives, and with their halves exchanged, which are other pictures to the search.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

import headstart as hs
from headstart.data.dataset import Dataset, Rows, Split
from headstart.data.duplicates import alike, near_duplicates

COPIES, BASE, PAIRS, TILE = 100, 5000, 30, 96
Edit = Callable[[Image.Image, np.random.Generator], Image.Image]


def cropped(share: float) -> Edit:
    """By this share of both sides, anywhere."""

    def edit(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        width, height = (round(side * (1 - share)) for side in image.size)
        left, top = draw.integers(image.width - width + 1), draw.integers(image.height - height + 1)
        return image.crop((left, top, left + width, top + height))

    return edit


def turned(degrees: float) -> Edit:
    """Either way; what comes in at the corners has the mean colour."""

    def edit(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        mean = tuple(int(value) for value in np.asarray(image).mean(axis=(0, 1)))
        return image.rotate(degrees * draw.choice([-1, 1]), Image.Resampling.BICUBIC, fillcolor=mean)

    return edit


def encoded(quality: int) -> Edit:
    """As JPEG of this quality."""

    def edit(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        image.save(file := io.BytesIO(), "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return edit


def captioned(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """With a white bar over the lowest eighth, and letters in it."""
    image = image.copy()
    bar, width = max(3, image.height // 8), image.width
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, image.height - bar, width, image.height), fill="white")
    for left in np.arange(0.1, 0.8, 0.06):
        line = (left * width, image.height - 0.75 * bar, (left + 0.03) * width, image.height - 0.3 * bar)
        pen.rectangle(line, fill="black")
    return image


def mirrored(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Left for right."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


EDITS: dict[str, Edit] = {
    **{f"crop {100 * share:.0f} %": cropped(share) for share in (0.03, 0.05, 0.1, 0.15)},
    **{f"turn {degrees} degrees": turned(degrees) for degrees in (1, 2, 3)},
    "JPEG 30": encoded(30),
    "half size": lambda image, draw: image.resize((image.width // 2, image.height // 2)),
    "mirror": mirrored,
    "brightness x 1.3": lambda image, draw: ImageEnhance.Brightness(image).enhance(1.3),
    "contrast x 0.7": lambda image, draw: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image, draw: image.convert("L").convert("RGB"),
    "caption": captioned,
    "mirror, crop 5 %, JPEG 50": lambda image, draw: encoded(50)(cropped(0.05)(mirrored(image, draw), draw), draw),
}


def pictures_of(place: str) -> list[Image.Image]:
    """Different pictures: of copies and near-duplicates the first."""
    data = hs.load(place)
    firsts = np.unique(data.digests, return_index=True)[1]
    kept = np.setdiff1d(firsts, near_duplicates(data).rows.max(axis=1, initial=-1))
    if data.files is None:
        return [Image.fromarray(pixels) for pixels in data.images[kept[:BASE]]]
    return [Image.open(Path(place) / data.files["path"][row]).convert("RGB") for row in kept]


def recall(places: list[str]) -> None:
    """Print a row an edit: how many of the copies are found, and how many pairs besides."""
    pictures = {place: pictures_of(place) for place in places}
    print("| edit |", " | ".join(f"{Path(place).name} ({len(pictures[place]):,})" for place in places), "|")
    print("|---|", "---|" * len(places), sep="")
    for name, edit in EDITS.items():
        cells = []
        for base in pictures.values():
            draw = np.random.default_rng(0)
            chosen = draw.permutation(len(base))[:COPIES]
            copies = [edit(base[row], draw) for row in chosen]
            pairs = _near([*base, *copies], np.r_[np.arange(len(base)), chosen] % 2)
            told = {(len(base) + number, row) for number, row in enumerate(chosen)}
            cells.append(f"{len(pairs & told)} of {len(copies)}, {len(pairs - told)} others")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


def _near(pictures: list[Image.Image], labels: np.ndarray) -> set[tuple[int, int]]:
    """(later, earlier) of the near-duplicates among pictures that are stored as files, or as an array of one size."""
    if {picture.size for picture in pictures} == {(32, 32)}:
        images = np.stack([np.asarray(picture) for picture in pictures])
        return {tuple(pair) for pair in near_duplicates(hs.from_arrays(images, labels, "ab")).rows.tolist()}
    with tempfile.TemporaryDirectory() as folder:
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            (place := Path(folder) / "ab"[label]).mkdir(exist_ok=True)
            picture.save(place / f"{number}.png", compress_level=1)
        data = hs.load(folder)
        assert data.files is not None
        numbers = data.files["path"].map(lambda path: int(Path(path).stem)).to_numpy()
        found = np.sort(numbers[near_duplicates(data).rows], axis=1)[:, ::-1]
        return {(later, earlier) for later, earlier in found.tolist()}


def sheet(out: Path, places: list[str]) -> None:
    """Write OUT/<name>.png: 30 of the pairs, or all there are, side by side, and print how many there are in all."""
    out.mkdir(parents=True, exist_ok=True)
    for place in places:
        data = hs.load(place)
        found = near_duplicates(data)
        chosen = np.sort(np.random.default_rng(0).permutation(len(found.rows))[:PAIRS])
        page = Image.new("RGB", (6 * (2 * TILE + 8), -(-len(chosen) // 6) * (TILE + 8)), "white")
        for number, pair in enumerate(found.rows[chosen]):
            for end, row in enumerate(pair):
                tile = Image.fromarray(data.images[int(row)]).resize((TILE, TILE), Image.Resampling.BICUBIC)
                page.paste(tile, (number % 6 * (2 * TILE + 8) + end * TILE, number // 6 * (TILE + 8)))
        if len(chosen):
            page.save(out / f"{Path(place).name}.png")
        tested = np.isin(np.arange(len(data)), found.rows)[data.splits[0].test].mean()
        said = (
            f"{len(data):,} images, {len(found.rows):,} pairs from {found.bound} on, {found.differ} of different labels"
        )
        print(f"{place}: {said}; {100 * tested:.2f} % of test images have a partner", flush=True)


def cost(counts: list[int]) -> None:
    """Print a row a number of images; each has a process of its own."""
    print("| images | seconds | processor seconds | memory with the images, GiB | pairs alike |\n|---|---|---|---|---|")
    for count in counts:
        subprocess.run([sys.executable, __file__, "one", str(count)], check=True)


def one(count: int) -> None:
    """Search among so many images, in a file, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "images"
        subprocess.run([sys.executable, __file__, "fill", str(place), str(count)], check=True)
        os.environ["HEADSTART_CACHE"] = folder
        images = Rows(np.memmap(place, np.uint8, "r", shape=(count, 32, 32, 3)), np.arange(count))
        none = np.arange(0)
        split = Split("all", np.arange(count), none, none)
        data = Dataset("x", images, np.zeros(count, np.int64), ("x",), (split,), "x", "x")
        data.__dict__.update(digests=np.arange(count).astype(str))
        before, started, used = _peak(), time.perf_counter(), time.process_time()
        found = alike(data)
        seconds, processor = time.perf_counter() - started, time.process_time() - used
        more = _peak() - before
        print(f"| {count:,} | {seconds:.0f} | {processor:.1f} | {more:.2f} | {len(found):,} |", flush=True)


def fill(place: Path, count: int) -> None:
    """Write CIFAR-10's images, and beyond these what their turns, negatives and exchanged halves are."""
    file = np.memmap(place, np.uint8, "w+", shape=(count, 32, 32, 3))
    cifar10 = np.asarray(hs.load("cifar10").images)
    for number, start in enumerate(range(0, count, len(cifar10))):
        images = np.rot90(cifar10, number % 4, axes=(1, 2))
        images = images if number // 4 % 2 == 0 else 255 - images
        images = np.roll(images, 16 * (number // 8 % 2), axis=1)
        images = np.roll(images, 16 * (number // 16), axis=2)
        file[start : start + len(cifar10)] = images[: count - start]


def _peak() -> float:
    """The most memory that this process ever held, in GiB; the parts of the file of images that it read are counted."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["recall", *places]:
            recall(places)
        case ["sheet", out, *places]:
            sheet(Path(out), places)
        case ["cost", *counts]:
            cost([int(count) for count in counts])
        case ["one", count]:
            one(int(count))
        case ["fill", place, count]:
            fill(Path(place), int(count))
        case _:
            raise SystemExit(__doc__)
