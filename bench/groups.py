"""What groups and stable splits do: accuracy claimed with and without them, images that move, shares that stray.

40 patients with 6 photos each, in the patient's colours; who is ill is drawn by lot, so that the truth is 50 %. The
nearest neighbour by colours is what memorises patients best. Prints tables, and leaves the photos of seed 0 in FOLDER.

    python bench/groups.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import headstart as hs
from headstart.data.dataset import Dataset
from headstart.data.folds import in_folds
from headstart.data.splits import placed

PATIENTS, PHOTOS, SIDE = 40, 6, 64
REPETITIONS = 20
HOLD_OUT, FIVE = (0.15, 0.10, 0.75), (0.2,) * 5


def write_photos(root: Path, seed: int, patients: int = PATIENTS) -> Path:
    """root/{ill,well}/patient<n>_<k>.png: colours and waves are the patient's; phase, spot, light, noise a photo's."""
    rng = np.random.default_rng(seed)
    is_ill = rng.permutation(np.arange(patients) % 2)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    for patient, photo in product(range(patients), range(PHOTOS)):
        own = np.random.default_rng((seed, patient))
        colours, waves = own.uniform(40, 215, (2, 3)), own.uniform(-6, 6, (3, 2))
        field = sum(np.sin(2 * np.pi * (a * x + b * y) + rng.uniform(0, 2 * np.pi)) for a, b in waves)[..., None] / 3
        spot = np.exp(-((x - rng.uniform()) ** 2 + (y - rng.uniform()) ** 2) / 0.02)[..., None]
        image = (0.5 + 0.5 * field) * colours[0] + (0.5 - 0.5 * field) * colours[1] + 60 * spot
        image = image * rng.uniform(0.8, 1.2) + rng.normal(0, 12, image.shape)
        folder = root / ("ill" if is_ill[patient] else "well")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / f"patient{patient:02}_{photo + 1}.png")
    return root


def accuracy(data: Dataset) -> float:
    """Of the nearest neighbour by means and quantiles of the colours, over all splits."""
    pixels = np.asarray(data.images[:], np.float32).reshape(len(data), -1, 3)
    quantiles = np.percentile(pixels, [5, 25, 75, 95], axis=1).transpose(1, 0, 2).reshape(len(data), -1)
    x = StandardScaler().fit_transform(np.concatenate([pixels.mean(axis=1), pixels.std(axis=1), quantiles], axis=1))
    right = []
    for split in data.splits:
        known = np.concatenate([split.train, split.val])
        model = KNeighborsClassifier(1).fit(x[known], data.labels[known])
        right.append(model.predict(x[split.test]) == data.labels[split.test])
    return float(np.concatenate(right).mean())


def places(data: Dataset) -> dict[str, list[tuple[str, str]]]:
    """Path -> the split and part that each image is in."""
    found: dict[str, list[tuple[str, str]]] = {}
    for split in data.splits:
        for part, rows in split.parts.items():
            for path in data.files["path"].iloc[rows]:
                found.setdefault(path, []).append((split.name, part))
    return found


def moved(root: Path, seed: int) -> tuple[int, int]:
    """How many of 200 photos change their part when one more comes, in a hold-out and in five folds."""
    photos = sorted(write_photos(root, seed).rglob("*.png"))
    for path in photos[200:-1]:
        path.unlink()
    after = hs.load(root)
    photos[-1].unlink()
    before = hs.load(root)
    pairs = ((before, after), (in_folds(before, "5", 0), in_folds(after, "5", 0)))
    counts = [sum(where != places(new)[path] for path, where in places(old).items()) for old, new in pairs]
    return counts[0], counts[1]


def strayed(images: int, classes: int) -> dict[str, float]:
    """Standard deviations, in points, of the share that a part has of the images and of a class."""
    labels, names = np.arange(images) % classes, tuple(map(str, range(classes)))
    parts, of_class, folds = [], [], []
    for repetition in range(200 if images <= 1000 else 40):
        units = np.array([f"{repetition} {row}" for row in range(images)])
        is_test = placed(units, labels, HOLD_OUT, "0", names) == 0
        parts.append(is_test.mean())
        of_class.append(np.bincount(labels[is_test], minlength=classes) / np.bincount(labels))
        folds.append(np.bincount(placed(units, labels, FIVE, "0", names), minlength=5) / images)
    spread = {"test": np.std(parts), "test of a class": np.std(of_class), "fold": np.std(folds)}
    return {"images": images, "classes": classes} | {key: round(100 * float(value), 2) for key, value in spread.items()}


def main() -> None:
    """Print all tables."""
    claimed, changed = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(REPETITIONS):
            root = write_photos(Path(temporary) / f"{seed}" / "photos", seed)
            for group in (None, r"(patient\d+)"):
                data = hs.load(root, group=group, split_seed=seed)
                for splits in (data, in_folds(data, "5", seed)):
                    about = {"group": group, "splits": len(splits.splits)}
                    claimed.append(about | {"accuracy": 100 * accuracy(splits)})
            changed.append(moved(Path(temporary) / f"{seed}" / "more", seed))
    print(pd.DataFrame(claimed).fillna("none").groupby(["group", "splits"])["accuracy"].agg(["mean", "std"]).round(1))
    print("moved by one photo more, hold-out and folds:", changed)
    print(pd.DataFrame([strayed(*each) for each in product((100, 300, 1000, 10_000), (2, 10))]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write_photos(Path(sys.argv[1]), 0)
    main()
