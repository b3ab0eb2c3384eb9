"""Where the arithmetic happens, and in which precision: asked for, or found out by a short measurement."""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import platform
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.seed import seed_everything
from torch import nn

from headstart import __version__
from headstart.errors import HeadstartError
from headstart.runtime.cache import PROBES, cache_dir, kept_or_not, not_kept

PROBE_REPEATS = 10  # a few milliseconds each: on a busy machine only the quickest of many says what it can do
PATIENCE = timedelta(days=7)  # that processes wait for the first one, which tests and writes while they do
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's <malloc.h>
VARIABLES = (  # of the environment, that are set here
    "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS",
    "CUBLAS_WORKSPACE_CONFIG",
    *("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "NODE_RANK"),
)
# Variables that hide instructions of the CPU: from torch, from oneDNN by its two names, from MKL.
HIDING = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
CUDNN_FLAGS = ("enabled", "benchmark", "deterministic")


class Rank(LightningEnvironment):
    """One of several processes of a machine, the first of which (rank 0) is reached at a port."""

    def __init__(self, rank: int, processes: int, port: int, address: str = "127.0.0.1"):
        super().__init__()
        self.rank, self.processes, self._port, self._address = rank, processes, port, address

    def local_rank(self) -> int:
        """Its number, which is that of its GPU."""
        return self.rank

    def node_rank(self) -> int:
        """That of the machine: there is one."""
        return 0

    @property
    def main_address(self) -> str:
        """Of the first process."""
        return self._address

    @property
    def main_port(self) -> int:
        """Of the first process."""
        return self._port


class Together(DDPStrategy):
    """Processes that were started without Lightning."""

    def _configure_launcher(self) -> None:
        """None: Lightning's would set the number of threads, and refuse a notebook."""


def make_fabric(device: str = "auto", rank: Rank | None = None) -> Fabric:
    """Lightning Fabric on `device` ("auto", "cpu" or "cuda"), in bf16 where that is measured to be faster, else fp32.

    rank: this process is one of several, which take their gradients' mean; they are to `launch` before they train.

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
    precision: Any = "bf16-mixed" if bf16_is_fast(torch.device(device)) else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the precision is said in our own words
    if rank is None:
        return Fabric(accelerator=device, devices=1, precision=precision)
    strategy = Together(timeout=PATIENCE)
    return Fabric(accelerator=device, devices=rank.processes, strategy=strategy, precision=precision, plugins=[rank])


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bf16 is measured to be faster than fp32 there; never on a CPU without instructions for it, where finding
    that out would take a hundred times as long."""
    if device.type == "cpu" and not _cpu_has_bf16():
        return False
    probe = stored_probe("precision", device, lambda: _fastest_precision(device.type))
    return probe["choice"] == "bf16-mixed"


@contextmanager
def settings_kept() -> Iterator[None]:
    """Put back on leaving, also by an exception, what `make_fabric`, `seed_all` and training change for the whole
    process: torch's number of threads, its deterministic algorithms and cuDNN's flags; the states of the random
    generators of Python, NumPy and torch; the environment's VARIABLES; the logging level of lightning_fabric, and the
    filters of warnings.

    What `keep_freed_memory` asks of glibc stays: no function reads it back. cuBLAS, too, keeps what it read from its
    variable when it was first used.
    """
    with warnings.catch_warnings(), ExitStack() as kept:  # it calls what it is given from the last to the first
        kept.callback(torch.set_num_threads, torch.get_num_threads())
        kept.callback(_set_determinism, *_determinism())
        fills = getattr(torch.utils.deterministic, "fill_uninitialized_memory")  # noqa: B009 - torch does not type it
        kept.callback(setattr, torch.utils.deterministic, "fill_uninitialized_memory", fills)
        for flag in CUDNN_FLAGS:
            kept.callback(setattr, torch.backends.cudnn, flag, getattr(torch.backends.cudnn, flag))
        if torch.cuda.is_initialized():
            kept.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        else:  # asking would start CUDA on every GPU; it starts with the CPU's seed
            kept.callback(lambda: torch.cuda.manual_seed_all(torch.initial_seed()))
        kept.callback(torch.set_rng_state, torch.get_rng_state())
        kept.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - the one that all share
        kept.callback(random.setstate, random.getstate())
        for name in VARIABLES:
            kept.callback(_set_variable, name, os.environ.get(name))
        logger = logging.getLogger("lightning_fabric")
        kept.callback(logger.setLevel, logger.level)
        yield


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_determinism(enabled: bool, warn_only: bool) -> None:
    if _determinism() != (enabled, warn_only):  # the first call takes a second: it imports a compiler's settings
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


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
        name = torch.cuda.get_device_name(fabric.device)
    else:
        name = f"{torch.get_num_threads()} CPU threads ({_processor()})"
    return name if fabric.world_size == 1 else f"{fabric.world_size} x {name}"


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
    """What makes the same arithmetic give the same bits, and take the same time: processor, threads, versions; and the
    variables that hide instructions from the libraries, where they are set."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        hiding = [f" {variable}={os.environ[variable]}" for variable in HIDING if variable in os.environ]
        name = f"{_processor()} x{torch.get_num_threads()}{''.join(hiding)}"
    return f"{name} torch {torch.__version__} openvino {_version('openvino')}"


@kept_or_not
def stored_probe(name: str, device: torch.device, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` found, measured once on such hardware and kept in the cache's folder `probes`: a choice made by
    timing would otherwise differ from run to run, and with it the results. Delete the folder to measure anew;
    a comparison that is resumed chooses as it did before."""
    key = hashlib.sha256(f"{name} {hardware(device)}".encode()).hexdigest()[:12]
    path = _probe_path(name, key)
    _CHOSEN[path.name] = found = _TAKEN[path.name] if path.name in _TAKEN else _stored(path, measure)
    return found


def _stored(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):  # two at once would disturb each other, and choose differently
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # not there, or damaged
            result = measure()
            try:
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                temporary.write_text(json.dumps(result), encoding="utf-8")
                temporary.replace(path)
            except OSError as error:
                not_kept(error)
            return result


def kept_probes() -> dict[str, dict[str, Any]]:
    """All that `stored_probe` keeps, and what this process was told: file name -> what was found."""
    found = {}
    for path in _probe_path("*", "*").parent.glob("*.json"):
        with suppress(OSError, ValueError):  # removed meanwhile, or damaged
            found[path.name] = json.loads(path.read_text(encoding="utf-8"))
    return found | _TAKEN


def chosen_probes() -> dict[str, dict[str, Any]]:
    """What `stored_probe` has given to this process: file name -> what was found."""
    return dict(_CHOSEN)


@contextmanager
def choosing_as(found: Mapping[str, dict[str, Any]]) -> Iterator[None]:
    """Meanwhile, choose as this hardware did before (its `chosen_probes`), whatever became of the cache since."""
    before = dict(_TAKEN)
    _CHOSEN.clear()
    take_probes(found)
    try:
        yield
    finally:
        _TAKEN.clear()
        _TAKEN.update(before)


def take_probes(found: Mapping[str, dict[str, Any]]) -> None:
    """Choose in this process as another machine of the same hardware did (its `kept_probes`), so that the results are
    the same bits; on other hardware this changes nothing."""
    _TAKEN.update(found)


_TAKEN: dict[str, dict[str, Any]] = {}
_CHOSEN: dict[str, dict[str, Any]] = {}


def _probe_path(name: str, key: str) -> Path:
    return cache_dir() / PROBES / f"{name}-{key}.json"


def _cpu_has_bf16() -> bool:
    """Whether the CPU has instructions for bf16, and oneDNN may use them (ONEDNN_MAX_CPU_ISA). On x86 oneDNN counts
    AVX-512 as enough, which must imitate them."""
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    return platform.machine() not in ("x86_64", "AMD64") or torch.cpu._is_avx512_bf16_supported()


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
