"""Whether the exported page says what Python says, of fifty photos of all shapes; its size, and milliseconds a photo.

    headstart export runs/cifar10-1 --to web -o page.html
    python bench/web.py runs/cifar10-1 page.html

Headless Chromium opens the page from disk, offline, and is given the files as a person would give them. The photos are
made from two photographs that scikit-learn ships and from noise: shapes from 1 x 7 to 12 megapixels, all eight
orientations, JPEG of all samplings, grey, CMYK and progressive, PNG with transparency and palettes, WebP, GIF, BMP.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_sample_images

from headstart.inference.classifier import Classifier

ORIENTATION = 0x0112  # of EXIF
SHAPES = [(640, 427), (427, 640), (100, 100), (32, 32), (1, 7), (7, 1), (1000, 60), (60, 1000), (333, 500), (96, 97)]
LARGE = [(4032, 3024), (3024, 4032), (2000, 1500)]


def main() -> None:
    """Print a line a photo, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("page", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = list(write_photos(Path(folder)))
        ready, found = in_browser(asked.page.absolute(), photos)
        compare(Classifier.load(asked.run), photos, found)
    print(f"{asked.page.stat().st_size / 1e6:.1f} MB; {ready}")


def compare(classifier: Classifier, photos: list[Path], found: list[dict[str, Any]]) -> None:
    """Print where browser and Python differ, photo by photo, and in all."""
    differences, same, spent = [], 0, []
    for photo, answer in zip(photos, found, strict=True):
        [expected] = classifier.predict_proba(photo)
        got = np.array(answer["probabilities"])
        differences.append(np.abs(got - expected).max())
        same += int(got.argmax() == expected.argmax())
        spent.append(answer["milliseconds"])
        print(f"{photo.name:34}{differences[-1]:10.5f}{spent[-1]:10.0f} ms")
    small = [ms for photo, ms in zip(photos, spent, strict=True) if "large" not in photo.name]
    large = [ms for photo, ms in zip(photos, spent, strict=True) if "4032" in photo.name]
    print(
        f"{len(photos)} photos, {same} with the same class; largest difference of a probability {max(differences):.4f}"
    )
    print(
        f"median {statistics.median(small):.0f} ms a small photo, {statistics.median(large):.0f} one of 12 megapixels"
    )


def in_browser(page: Path, photos: list[Path]) -> tuple[str, list[dict[str, Any]]]:
    """What the page's line says when it is ready, and its answer to each photo."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    found = []
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        opened = browser.new_context(offline=True).new_page()
        opened.goto(page.as_uri())
        opened.locator("body[data-ready]").wait_for(timeout=120_000)
        ready = opened.inner_text("#status")
        for photo in photos:
            opened.set_input_files("#files", photo)
            card = opened.locator(".answer").first
            opened.locator(".answer:not(.waiting)").first.wait_for(timeout=120_000)
            if (probabilities := card.get_attribute("data-probabilities")) is None:
                raise SystemExit(f"{photo.name}: {card.inner_text()}")
            milliseconds = float(card.get_attribute("data-milliseconds") or "nan")
            found.append({"probabilities": json.loads(probabilities), "milliseconds": milliseconds})
            opened.click("#clear")
        browser.close()
    return ready, found


def write_photos(folder: Path) -> Iterator[Path]:
    """Fifty files, the same ones every time."""
    photographs = [Image.fromarray(each) for each in load_sample_images().images]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))

    def save(name: str, image: Image.Image, **how: Any) -> Path:
        image.save(folder / name, **how)
        return folder / name

    for at, size in enumerate(SHAPES):
        for kind, photograph in zip(("china", "flower"), photographs, strict=True):
            name = f"{kind}-{size[0]}x{size[1]}.jpg"
            yield save(name, photograph.resize(size, box=crop(photograph, at)), quality=90)
    for at, size in enumerate(LARGE):
        yield save(f"large-{size[0]}x{size[1]}.jpg", photographs[at % 2].resize(size), quality=90)
    for turned in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = turned
        yield save(f"turned-{turned}.jpg", photographs[0], exif=exif, quality=90)
    for sampling in range(3):
        yield save(f"sampling-{sampling}.jpg", photographs[1], subsampling=sampling, quality=60 + 15 * sampling)
    yield save("progressive.jpg", photographs[1], progressive=True)
    yield save("grey.jpg", photographs[0].convert("L"))
    yield save("cmyk.jpg", photographs[0].convert("CMYK"))
    for kind, photograph in zip(("china", "flower"), photographs, strict=True):
        see_through = photograph.copy()
        see_through.putalpha(Image.linear_gradient("L").resize(photograph.size))
        yield save(f"see-through-{kind}.png", see_through)
        yield save(f"see-through-{kind}.webp", see_through, lossless=True)
        yield save(f"{kind}.png", photograph)
        yield save(f"{kind}.webp", photograph, quality=80)
    yield save("palette.png", photographs[0].quantize(64))
    yield save("bits.png", photographs[0].convert("1"))
    yield save("grey.png", photographs[1].convert("L"))
    yield save("flower.gif", photographs[1])
    yield save("china.bmp", photographs[0])
    yield save("noise.png", noise)


def crop(photograph: Image.Image, at: int) -> tuple[int, int, int, int]:
    """Another part of a photograph for every place."""
    return 20 * at, 10 * at, photograph.width - 10 * at, photograph.height - 5 * at


if __name__ == "__main__":
    main()
