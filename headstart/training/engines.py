"""Running the frozen part over many images: the same numbers by whatever is quickest on this machine."""

from __future__ import annotations

import copy
import importlib.util
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, Protocol

import numpy as np
import torch

from headstart.models.network import Taps
from headstart.runtime.console import say
from headstart.runtime.device import bf16_is_fast, stored_probe

PROBE_IMAGES = 64
EAGER_BATCH = 128
OPENVINO_BATCH = 16

Write = Callable[[int, Sequence[np.ndarray]], None]


class Engine(Protocol):
    """Runs images (N, H, W, C) uint8 through a module and hands on its outputs, a batch at a time, in any order:
    `write(start, outputs)`, float arrays whose first axis begins at image `start`."""

    def __call__(self, images: np.ndarray, write: Write) -> None:
        """Run."""


def eager(taps: Taps, device: torch.device, bf16: bool) -> Engine:
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


def openvino(taps: Taps, image_shape: tuple[int, int, int], bf16: bool) -> Engine:
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
    taps: Taps, image_shape: tuple[int, int, int], device: torch.device, bf16: bool | None = None
) -> dict[str, Callable[[], Engine]]:
    """The engines that this machine has, by name, each as a function that makes it.

    bf16: whether those that compute in it are among them; None: where `device` is fast at it. On a CPU without
    instructions for bf16 they would take minutes to be measured, and lose.
    """
    if bf16 is None:
        bf16 = bf16_is_fast(device)
    makers: dict[str, Callable[[], Engine]] = {"eager-fp32": lambda: eager(taps, device, bf16=False)}
    if bf16:
        makers["eager-bf16"] = lambda: eager(taps, device, bf16=True)
    if device.type == "cpu" and importlib.util.find_spec("openvino"):
        makers["openvino-fp32"] = lambda: openvino(taps, image_shape, bf16=False)
        if bf16:
            makers["openvino-bf16"] = lambda: openvino(taps, image_shape, bf16=True)
    return makers


def choose(taps: Taps, image_shape: tuple[int, int, int], device: torch.device, key: str) -> dict[str, Any]:
    """Which engine is quickest on this machine.

    Returns {"engine": name, "measured": {name: {"setup_seconds", "image_seconds"}}}. The measurement, on a few batches
    of noise, is kept under `key`, so that one machine keeps its choice. An engine that cannot run the network is left
    out; PyTorch's own can run any.
    """

    def measure() -> dict[str, Any]:
        measured = {}
        for name, make in engines(taps, image_shape, device).items():
            try:
                measured[name] = _measure(make, image_shape)
            except Exception as error:
                if name.startswith("eager"):
                    raise
                say(f"{name} cannot run this network: {(str(error).splitlines() or [type(error).__name__])[0][:120]}")
        return measured

    available = engines(taps, image_shape, device)
    probe = stored_probe(f"engine-{key}", device, measure)
    measured = {name: each for name, each in probe.items() if name in available}
    return {"engine": min(measured, key=lambda name: measured[name]["image_seconds"]), "measured": measured}


def _measure(make: Callable[[], Engine], image_shape: tuple[int, int, int]) -> dict[str, float]:
    images = np.random.default_rng(0).integers(0, 256, (PROBE_IMAGES, *image_shape), dtype=np.uint8)
    started = time.perf_counter()
    engine = make()
    made = time.perf_counter()
    engine(images[:OPENVINO_BATCH], lambda start, outputs: None)  # what is slow only once
    warm = time.perf_counter()
    engine(images, lambda start, outputs: None)
    return {"setup_seconds": made - started, "image_seconds": (time.perf_counter() - warm) / PROBE_IMAGES}
