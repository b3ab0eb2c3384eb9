"""Where the arithmetic happens, and in which precision: asked for, or found out by a short measurement."""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.seed import seed_everything
from torch import nn

from headstart import __version__
from headstart.errors import HeadstartError
from headstart.runtime.cache import cache_dir

PROBE_REPEATS = 3
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's <malloc.h>


def make_fabric(device: str = "auto") -> Fabric:
    """Lightning Fabric on `device` ("auto", "cpu" or "cuda"), in bf16 where that is measured to be faster, else fp32.

    Raises HeadstartError for a device that this machine lacks.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise HeadstartError(
            "--device cuda: torch sees no CUDA device here; take --device cpu, or install a CUDA build of torch"
        )
    if device == "cpu":
        keep_freed_memory()
    if device == "cuda":  # a CPU is repeatable as it is
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Its backward adds in any order, but to each pixel once only: our windows do not overlap.
        warnings.filterwarnings("ignore", message="max_pool2d_with_indices_backward_cuda")
        setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - torch does not type it
    precision: Any = stored_probe("precision", torch.device(device), lambda: _fastest_precision(device))["choice"]
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the precision is said in our own words
    return Fabric(accelerator=device, devices=1, precision=precision)


def keep_freed_memory() -> None:
    """Ask glibc to hand freed blocks out again instead of returning them to the kernel; elsewhere this does nothing.

    By default each tensor above 32 MB is mapped anew and its pages are zeroed and faulted in at first touch, which
    costs more than most elementwise operations do: docs/decisions/allocator.md.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def seed_all(seed: int) -> None:
    """Seed every random generator that initialisation, dropout and shuffling draw from."""
    seed_everything(seed, verbose=False)


def describe(fabric: Fabric) -> str:
    """The device in a person's words."""
    if fabric.device.type == "cuda":
        return torch.cuda.get_device_name(fabric.device)
    return f"{torch.get_num_threads()} CPU threads ({_processor()})"


def precision_of(fabric: Fabric) -> str:
    """The arithmetic that training is done in: "32-true" or "bf16-mixed"."""
    return fabric._precision.precision


def environment() -> dict[str, Any]:
    """Versions and machine, as kept beside every run."""
    packages = ("torch", "torchvision", "timm", "lightning-fabric", "openvino", "numpy", "scikit-learn")
    return {
        "headstart": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: _version(name) for name in packages},
    }


def hardware(device: torch.device) -> str:
    """What makes the same arithmetic give the same bits, and take the same time: processor, threads, versions."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{_processor()} x{torch.get_num_threads()}"
    return f"{name} torch {torch.__version__} openvino {_version('openvino')}"


def stored_probe(name: str, device: torch.device, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` found, measured once on such hardware and kept in the cache's folder `probes`: a choice made by
    timing would otherwise differ from run to run, and with it the results. Delete the folder to measure anew."""
    key = hashlib.sha256(f"{name} {hardware(device)}".encode()).hexdigest()[:12]
    path = cache_dir() / "probes" / f"{name}-{key}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        result = measure()
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(result), encoding="utf-8")
        temporary.replace(path)
        return result


def _fastest_precision(device: str) -> dict[str, Any]:
    """Time a forward and backward pass of a convolution in both precisions."""
    convolution = nn.Conv2d(64, 64, 3, padding=1).to(device).to(memory_format=torch.channels_last)
    images = torch.zeros(64, 64, 16, 16, device=device).to(memory_format=torch.channels_last)

    def step(bf16: bool) -> float:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            started = time.perf_counter()
            convolution(images).sum().backward()
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started

    seconds = {}
    for precision, bf16 in (("32-true", False), ("bf16-mixed", True)):
        step(bf16)  # warm-up
        seconds[precision] = min(step(bf16) for _ in range(PROBE_REPEATS))
    return {"choice": min(seconds, key=seconds.__getitem__), "seconds": seconds}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # an extra that is not installed
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a device file, not a document
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
