"""A user's own folder of images, the whole way: checked, trained on, reported."""

from __future__ import annotations

import csv
import io
import json
import os
import re

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.cli import main

LITE0 = "tf_efficientnet_lite0.in1k"
OPTIONS = {"strategies": ["frozen"], "backbone": LITE0, "image_size": 64, "offline": True, "device": "cpu"}
CLASSES = (0, 3, 8)  # airplane, cat, ship


def export(image, path, number):
    """Write a photograph as people's folders have them: PNG and JPEG, of different sizes."""
    side = (32, 48, 64)[number % 3]
    picture = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path.with_suffix((".png", ".jpg")[number % 2]), quality=95)


@pytest.mark.usefixtures("users_cache")
def test_exported_photographs_give_the_accuracy_of_the_same_in_memory(tmp_path):
    try:
        cifar10 = hs.load("cifar10")
    except hs.HeadstartError as error:
        pytest.skip(f"no source of CIFAR-10 answers here: {error}")
    images, labels, splits = [], [], []
    for name, most in (("train", 200), ("val", 50), ("test", 400)):
        split = getattr(cifar10, name)
        for label, number in enumerate(CLASSES):
            for place, row in enumerate(np.flatnonzero(split.labels == number)[:most]):
                images.append(split.images[row])
                labels.append(label)
                splits.append(name)
                export(images[-1], tmp_path / "photos" / name / cifar10.class_names[number] / str(row), place)
    names = [cifar10.class_names[number] for number in CLASSES]
    built_in = hs.compare(
        hs.from_arrays(np.array(images), labels, names, splits=splits), output=tmp_path / "built-in", **OPTIONS
    )
    own = hs.compare(tmp_path / "photos", output=tmp_path / "own", **OPTIONS)
    accuracies = [each.table().loc["frozen", "accuracy"] for each in (built_in, own)]
    assert accuracies[0] > 0.85
    assert abs(accuracies[0] - accuracies[1]) <= 0.01
    assert own.dataset["test"] == 3 * 400


HOSTILE = ("<img src=x onerror=alert(1)>", "=cmd()", os.fsdecode(b"caf\xe9"), "two\nlines")


@pytest.fixture
def hostile(tmp_path):
    """A folder of classes whose names are an attack, a formula, no UTF-8 and no line."""
    generator = np.random.default_rng(0)
    for place, name in enumerate(HOSTILE):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(0, 60, (32, 40, 3)) + 60 * np.array([place == 0, place == 1, place == 2])
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_class_names_of_any_kind_travel_safely_through_report_and_csv(hostile, tmp_path):
    result = hs.compare(hostile, strategies=["base-cnn"], epochs=1, device="cpu", output=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "&lt;img src=x" in page
    for path in (tmp_path / "out").rglob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))):
            assert not any(cell.startswith(("=", "+", "@")) for cell in row)
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["dataset"]["class_names"] == [
        *result.dataset["class_names"]
    ]
    assert result.best.predict(np.zeros((1, 32, 32, 3), np.uint8))[0] in result.dataset["class_names"]


def test_strict_stops_before_training_at_a_fault(hostile, tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(hostile), "--strict", "--max-bad", "5%", "--folds", "none", "--output", "out"])
    assert ended.value.code == 2
    assert re.search(r"--strict stops at photos: \d class(es)? with fewer than 10 training", capfd.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_photographs_are_seen_from_scratch_at_64_pixels_unless_asked_otherwise(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 100, 80, 3), dtype=np.uint8)
    dataset = hs.from_arrays(images, np.arange(60) % 2, ["a", "b"])
    for asked, seen in ((None, 64), (48, 48), (128, 100)):
        result = hs.compare(
            dataset, ["base-cnn"], epochs=1, image_size=asked, device="cpu", output=tmp_path / str(asked)
        )
        assert result.runs[0].config["network"]["image_size"] == seen


def test_balanced_class_weights_help_a_rare_class(tmp_path):
    """Two classes that overlap, one 19 times as frequent: unweighted, hardly any image is called rare."""
    generator = np.random.default_rng(0)
    labels = (np.arange(2000) % 20 == 0).astype(int)
    brightness = np.clip(generator.normal(110 + 12 * labels, 10), 0, 255)
    images = np.broadcast_to(brightness[:, None, None, None], (2000, 16, 16, 3)).astype(np.uint8)
    images = images ^ generator.integers(0, 4, images.shape, dtype=np.uint8)  # no two alike
    dataset = hs.from_arrays(images, labels, ["often", "rare"])
    recalls = []
    for weights in ("none", "balanced"):
        result = hs.compare(
            dataset, ["base-cnn"], epochs=6, class_weights=weights, device="cpu", output=tmp_path / weights
        )
        recalls.append(result.runs[0].metrics["per_class"][1]["recall"])
        assert result.runs[0].config["strategy"]["recipe"]["class_weights"] == weights
    assert recalls[1] > recalls[0] + 0.2


def test_a_run_keeps_the_range_of_its_set_and_its_classifier_uses_it(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "xrays" / ("ill", "well")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = generator.integers(0, 2000 if number < 50 else 4000, (32, 32))
        Image.fromarray(values.astype(np.uint16)).save(path)
    data = hs.load(tmp_path / "xrays")
    run = hs.compare(data, ["base-cnn"], epochs=1, folds="none", device="cpu", output=tmp_path / "out").runs[0]
    assert run.config["whites"] == {"integers": 4095}
    classifier = hs.Classifier.load(run.folder)
    for place in (0, 30):  # a file alone would be taken for 11 bits, or is among the brighter
        assert np.array_equal(classifier.square(tmp_path / "xrays" / data.files["path"][place]), data.images[place])
