"""Running the frozen part over many images: the same numbers by whatever is quickest on this machine."""

from __future__ import annotations

import copy
import importlib.util
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from headstart.runtime.console import say
from headstart.runtime.device import bf16_is_fast, stored_probe

FIRST_LOOK = 4  # images
PROBE_IMAGES, PROBE_REPEATS = 64, 3
HOPELESS = 3  # times as slow as the quickest, by a first look
AS_QUICK = 1.1  # times as slow: chance alone makes that much of a difference
EAGER_BATCH = 128
EXACT = "fp32"  # the arithmetic in which networks are used
OPENVINO_BATCH = 16

Write = Callable[[int, Sequence[np.ndarray]], None]


class Engine(Protocol):
    """Runs images (N, H, W, C) uint8 through a module and hands on its outputs, a batch at a time, in any order:
    `write(start, outputs)`, float arrays whose first axis begins at image `start`."""

    def __call__(self, images: np.ndarray, write: Write) -> None:
        """Run."""


def eager(taps: nn.Module, device: torch.device, bf16: bool) -> Engine:
    """Plain PyTorch, channels last, under autocast where `bf16`."""
    taps = copy.deepcopy(taps).to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(images: np.ndarray, write: Write) -> None:
        for start in range(0, len(images), EAGER_BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + EAGER_BATCH])).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                outputs = taps(batch.permute(0, 3, 1, 2))
            write(start, [output.float().cpu().numpy() for output in outputs])

    return run


def openvino(taps: nn.Module, image_shape: tuple[int, int, int], bf16: bool) -> Engine:
    """OpenVINO on the CPU: the graph compiled for one image shape (H, W, C), several small batches in flight."""
    import openvino as ov
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    height, width, channels = image_shape
    example = torch.zeros(OPENVINO_BATCH, channels, height, width, dtype=torch.uint8)
    with torch.no_grad():
        taps(example)  # so that the resize matrices exist: the export then takes them as constants
        exported = torch.export.export(taps, (example,))
    frontend = FrontEndManager().load_by_framework("pytorch")  # what ov.convert_model calls, less its telemetry
    logging.disable(logging.WARNING)  # it reports, with tracebacks, each operation that this torch no longer decomposes
    try:
        decoder = TorchFXPythonDecoder.from_exported_program(exported)  # held until converted: C++ calls back into it
    finally:
        logging.disable(logging.NOTSET)
    graph = frontend.convert(frontend.load(decoder))
    config = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    compiled = ov.Core().compile_model(graph, "CPU", config)
    requests = [
        compiled.create_infer_request() for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    ]

    def run(images: np.ndarray, write: Write) -> None:
        in_flight: deque[tuple[Any, int]] = deque()

        def collect() -> None:
            request, start = in_flight.popleft()
            request.wait()
            write(start, [tensor.data[: len(images) - start] for tensor in request.output_tensors])

        for start, request in zip(range(0, len(images), OPENVINO_BATCH), cycle(requests)):
            if len(in_flight) == len(requests):
                collect()
            some = images[start : start + OPENVINO_BATCH]
            batch = np.zeros(example.shape, dtype=np.uint8)  # the last one is filled up: the graph knows one size
            batch[: len(some)] = some.transpose(0, 3, 1, 2)
            request.start_async([batch])
            in_flight.append((request, start))
        while in_flight:
            collect()

    return run


def engines(
    taps: nn.Module, image_shape: tuple[int, int, int], device: torch.device, bf16: bool | None = None
) -> dict[str, Callable[[], Engine]]:
    """The engines that this machine has, by name, each as a function that makes it: the most exact and simplest first.

    bf16: whether those that compute in it are among them; None: where `device` is fast at it. On a CPU without
    instructions for bf16 they would take minutes to be measured, and lose.
    """
    makers: dict[str, Callable[[], Engine]] = {}
    for in_bf16 in (False, True) if (bf16_is_fast(device) if bf16 is None else bf16) else (False,):
        precision = "bf16" if in_bf16 else EXACT
        makers[f"eager-{precision}"] = partial(eager, taps, device, in_bf16)
        if device.type == "cpu" and importlib.util.find_spec("openvino"):
            makers[f"openvino-{precision}"] = partial(openvino, taps, image_shape, in_bf16)
    return makers


def choose(
    taps: nn.Module, image_shape: tuple[int, int, int], device: torch.device, key: str, bf16: bool | None = None
) -> dict[str, Any]:
    """Which engine is quickest on this machine; of those that are about as quick, the first that `engines` names.

    Returns {"engine": name, "measured": {name: {"setup_seconds", "image_seconds"}}}. It is measured, on a few batches
    of noise, once for a `key`, and kept: one machine keeps its choice. An engine that cannot run the network is left
    out; PyTorch's own can run any. bf16: see `engines`.
    """
    available = engines(taps, image_shape, device, bf16)

    def measure() -> dict[str, Any]:
        found: dict[str, dict[str, float]] = {}
        for name in sorted(available, key=lambda name: name.startswith("eager")):
            hopeless = math.inf
            if name.startswith("eager"):  # last, as it may be slow by far, and then is not measured for long
                hopeless = HOPELESS * min((each["image_seconds"] for each in found.values()), default=math.inf)
            try:
                found[name] = _measure(available[name], image_shape, hopeless)
            except Exception as error:
                if name.startswith("eager"):
                    raise
                say(f"{name} cannot run this network: {(str(error).splitlines() or [type(error).__name__])[0][:120]}")
        return among({name: found[name] for name in available if name in found})

    precision = "bf16" if any(name.endswith("bf16") for name in available) else "fp32"
    return stored_probe(f"engine-{precision}-{key}", device, measure)


def among(measured: Mapping[str, Any], precision: str = "") -> dict[str, Any]:
    """What `choose` returns, where only engines of a `precision` are to be had (of a name that ends so)."""
    left = {name: each for name, each in measured.items() if name.endswith(precision)}
    limit = AS_QUICK * min(each["image_seconds"] for each in left.values())
    return {"engine": next(name for name, each in left.items() if each["image_seconds"] <= limit), "measured": left}


def _measure(make: Callable[[], Engine], image_shape: tuple[int, int, int], hopeless: float) -> dict[str, float]:
    """Seconds to make an engine, and an image; one that takes `hopeless` seconds an image is not measured for long."""
    images = noise(PROBE_IMAGES, image_shape)
    started = time.perf_counter()
    engine = make()
    setup_seconds = time.perf_counter() - started
    image_seconds(engine, images[:FIRST_LOOK])  # what is slow only once
    seconds = image_seconds(engine, images[:FIRST_LOOK])
    if seconds < hopeless:
        seconds = min(image_seconds(engine, images) for _ in range(PROBE_REPEATS))
    return {"setup_seconds": setup_seconds, "image_seconds": seconds}


def noise(count: int, image_shape: tuple[int, int, int]) -> np.ndarray:
    """So many random images (N, H, W, C) uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, *image_shape), dtype=np.uint8)


def image_seconds(engine: Engine, images: np.ndarray) -> float:
    """Seconds that an engine takes an image now."""
    started = time.perf_counter()
    engine(images, lambda start, outputs: None)
    return (time.perf_counter() - started) / len(images)
