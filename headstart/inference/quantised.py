"""An exported ONNX file in whole numbers of 8 bits: how it is made, what it costs in accuracy, and what it gains."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.dataset import Images, Subset
from headstart.errors import HeadstartError
from headstart.evaluation.statistics import Tested, paired_difference
from headstart.inference.formats import ABOUT, OUTPUTS, quiet

CALIBRATED = 256  # images at most, spread over those there are, whose activations say which range 8 bits are to cover
AT_ONCE = 8  # of them
QUANTISED = ("Conv", "Gemm", "MatMul", "Relu", "Clip")  # a limit with the convolution before it: one range for both
POINT = 0.01  # of accuracy


@dataclass(frozen=True)
class Loss:
    """What a file in 8 bits costs and gains beside the one in float32 that it was made of, on the same images.

    images: how many; held_out: whether the classifier was not trained on them. calibrated_on: "val", or "train" where
    there is none; calibration_images: how many. accuracy_fp32, accuracy: shares of images. lost: their difference, with
    the bounds low and high of its 95 % interval over the drawing of images; allowed: at most. agreement: of the two
    files' classes. largest_difference: of a probability. bytes, latency_ms: see `parity.Parity`.
    """

    images: int
    held_out: bool
    calibrated_on: str
    calibration_images: int
    accuracy_fp32: float
    accuracy: float
    lost: float
    low: float
    high: float
    allowed: float
    agreement: float
    largest_difference: float
    bytes_fp32: int
    bytes: int
    latency_ms_fp32: float
    latency_ms: float

    @property
    def said(self) -> str:
        """All of it in a line."""
        seen = "" if self.held_out else ", which it was trained on"
        sure = "" if self.high <= self.allowed else f"; so few images leave up to {self.high / POINT:.2f} possible"
        return (
            f"8 bits lose {self.lost / POINT:.2f} points of accuracy (95 % interval {self.low / POINT:.2f} to "
            f"{self.high / POINT:.2f}) on {self.images:,} images{seen}, {self.allowed / POINT:g} allowed{sure}; "
            f"{self.agreement:.2%} of classes the same; {self.bytes_fp32 / 1e6:.1f} -> {self.bytes / 1e6:.1f} MB, "
            f"{self.latency_ms_fp32:.1f} -> {self.latency_ms:.1f} ms an image (calibrated on "
            f"{self.calibration_images:,} images of {self.calibrated_on})"
        )

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside the file."""
        return asdict(self)


def quantise(file: Path, images: Images) -> int:
    """Make an ONNX file one of 8 bits, in its place; returns how many images were looked at.

    images: (N, S, S, 3) uint8, by whose activations the ranges are set. Weights have a range a channel, and 7 bits:
    with 8, sums of products overflow on processors without VNNI. What brings photos into a square stays as it is, which
    is exact, and so does what compares features with training's. The file then says `int8` of itself.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = onnx.load(file)
    nodes = model.graph.node
    network = next((place for place, node in enumerate(nodes) if node.op_type == "Conv"), len(nodes))
    behind = _behind(OUTPUTS[0], nodes)
    chosen = np.unique(np.linspace(0, len(images) - 1, min(CALIBRATED, len(images))).round().astype(int))
    small = file.with_name(f"int8-{file.name}")
    with quiet():
        quantize_static(
            file,
            small,
            _Batches(images, chosen),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=[node.name for at, node in enumerate(nodes) if at < network or node.name not in behind],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    small.replace(file)
    tell(file, int8=True)
    return len(chosen)


def tell(file: Path, **facts: Any) -> None:
    """Let an ONNX file say this of itself, too."""
    import onnx

    model = onnx.load(file)
    for entry in model.metadata_props:
        if entry.key == ABOUT:
            entry.value = json.dumps(json.loads(entry.value) | facts)
    onnx.save(model, file)


def _behind(output: str, nodes: Sequence[Any]) -> set[str]:
    """The names of the nodes that an output hangs on; nodes: of an ONNX graph, each after those that it needs."""
    wanted, found = {output}, set()
    for node in reversed(nodes):
        if wanted & set(node.output):
            found.add(node.name)
            wanted |= set(node.input)
    return found


class _Batches:
    """Images as ONNX Runtime's quantiser asks for them."""

    def __init__(self, images: Images, chosen: np.ndarray):
        self.batches: Iterator[dict[str, np.ndarray]] = (
            {"pixels": np.asarray(images[chosen[start : start + AT_ONCE]])} for start in range(0, len(chosen), AT_ONCE)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def difference(before: np.ndarray, after: np.ndarray, images: Subset) -> dict[str, Any]:
    """What of `Loss` follows from what two files say: probabilities (N, C) of images, whose copies and groups count as
    one."""
    classes = before.argmax(axis=1), after.argmax(axis=1)
    groups = images.dataset.groups
    units = np.arange(len(images)) if groups is None else np.unique(groups[images.rows], return_inverse=True)[1]
    right = [(each == images.labels).astype(float)[None] for each in classes]
    networks, weights = np.zeros(right[0].shape, np.int64), np.ones(len(images))
    fp32, int8 = (Tested(each, networks, units, weights) for each in right)
    lost = paired_difference(fp32, int8)
    return {
        "images": len(images),
        "accuracy_fp32": float(right[0].mean()),
        "accuracy": float(right[1].mean()),
        "lost": lost.mean,
        "low": lost.low,
        "high": lost.high,
        "agreement": float((classes[0] == classes[1]).mean()),
        "largest_difference": float(np.abs(before - after).max()),
    }


def refuse(loss: Loss) -> None:
    """Raise HeadstartError, which says how much, for a file that loses more than is allowed."""
    if loss.lost > loss.allowed:
        raise HeadstartError(f"not kept: {loss.said}; --max-loss allows more, and without --int8 nothing is lost")
