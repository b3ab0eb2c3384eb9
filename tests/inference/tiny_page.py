"""A run of three classes whose network looks at the upper left corner of a photo, as pages are made of it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from small_data import CLASS_NAMES

from headstart.inference.classifier import Classifier
from headstart.models import build
from headstart.results import runs
from headstart.results.files import write_json
from headstart.results.pictures import Pictures, write_pictures

CORNER = 4  # pixels a side
COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
SCORE = {"value": 0.858, "low": 0.69, "high": 0.943}


def corner_graph() -> bytes:
    """An ONNX file: of a photo's upper left corner the mean colour as features, red, green and blue by it, and how far
    it is from the nearest of COLOURS."""
    from onnx import TensorProto, helper, numpy_helper

    def whole(name: str, *values: int) -> Any:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Slice", ["pixels", "start", "end", "axes"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["features"], keepdims=0),
        helper.make_node("Div", ["features", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("LpNormalization", ["features"], ["direction"], axis=1),
        helper.make_node("MatMul", ["direction", "colours"], ["cosines"]),
        helper.make_node("ReduceMax", ["cosines", "last"], ["nearest"], keepdims=0),
        helper.make_node("Sub", ["one", "nearest"], ["distances"]),
    ]
    colours = np.array(list(COLOURS.values()), np.float32)
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    sharpness = numpy_helper.from_array(np.array(50, np.float32), "sharpness")
    graph = helper.make_graph(
        nodes,
        "corner",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", "h", "w", 3])],
        [
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3])
                for name in ("probabilities", "features")
            ),
            helper.make_tensor_value_info("distances", TensorProto.FLOAT, ["n"]),
        ],
        [
            *(whole("start", 0, 0), whole("end", CORNER, CORNER), whole("axes", 1, 2), whole("last", 1)),
            *(sharpness, numpy_helper.from_array(np.array(1, np.float32), "one")),
            numpy_helper.from_array(colours.T.copy(), "colours"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def expected(pixels: np.ndarray) -> np.ndarray:
    """What `corner_graph` says of a photo (H, W, 3): probabilities (3,)."""
    logits = pixels[:CORNER, :CORNER].mean(axis=(0, 1)) / 50
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def picture(*quarters: str, size: tuple[int, int] = (40, 24)) -> Image.Image:
    """A picture of four colours: upper left, upper right, lower left, lower right."""
    width, height = size
    image = Image.new("RGB", size)
    for at, colour in enumerate(quarters):
        image.paste(COLOURS[colour], (at % 2 * width // 2, at // 2 * height // 2, width, height))
    return image


def make_run(comparison: Path, names: Sequence[str] = CLASS_NAMES, novelty: bool = False) -> runs.Run:
    """A finished run with an untrained network, in a comparison with a verdict and small test pictures."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    network, spec = build.from_scratch("base-cnn", images, len(names))
    folder = runs.run_folder(comparison, "base-cnn", "holdout", 0)
    folder.mkdir(parents=True)
    Classifier(network, names, (16,), 1.5).save(folder / runs.MODEL)
    data = {"name": "corners", "fingerprint": "f", "source": "nowhere", "class_names": list(names)}
    data |= {"train": 20, "val": 6, "test": 6, "tested": 6}
    config = {"schema": 2, "candidate": "base-cnn", "split": "holdout", "seed": 0, "dataset": data, "network": spec}
    config |= {"sides": [16], "fit": "stretch", "strategy": {"name": "base-cnn", "summary": "a few convolutions"}}
    write_json(folder / runs.CONFIG, config)
    write_json(folder / runs.METRICS, {"accuracy": 0.875})
    tested = np.zeros((6, len(names))), np.arange(6) % len(names)
    runs.write_predictions(folder, names, test=tested, val=tested)
    if novelty:
        corners = np.array(list(COLOURS.values()), np.float16)
        runs.write_novelty(folder, corners, np.full(99, 0.1, np.float32), np.full(6, 0.05, np.float32))
    verdict = {"take": "base-cnn", "metric": "accuracy", "score": SCORE}
    write_json(
        comparison / runs.COMPARISON, {"schema": 2, "dataset": data, "recommended": "base-cnn", "verdict": verdict}
    )
    tests = {at: jpeg_of(picture(*[list(COLOURS)[at % 3]] * 4)) for at in (5, 0, 1, 2)}
    write_pictures(comparison, Pictures(tests, [], [], np.zeros((3, len(names)), np.int64), {}))
    return runs.Run(folder)


def jpeg_of(image: Image.Image, **how: Any) -> bytes:
    """An image as a JPEG file of high quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0, **how)
    return file.getvalue()
