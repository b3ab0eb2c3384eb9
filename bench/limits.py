"""How much of this machine's arithmetic each phase uses: its FLOP/s over those of a large matrix product.

A product of two square matrices, in the precision that training uses, is what the processor can do at best. Operations
are counted by torch on what is run; a multiplication and an addition are two. To see what a CPU with AVX2 alone does,
hide the rest from all three libraries: ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2
(without the last the peak is that of AVX-512, and no share of it means anything).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from headstart.models import build
from headstart.models.backbones import load_backbone
from headstart.models.network import Taps
from headstart.runtime.device import hardware, make_fabric, seed_all
from headstart.strategies import STRATEGIES
from headstart.training.activations import FrozenPass
from headstart.training.engines import engines
from headstart.training.optimizers import make_optimizers

SIZE = 4096
STEPS = 6
IMAGES = 512
IMAGE_SHAPE = (32, 32, 3)
GOALS = {  # of the peak of the precision that is used
    "bf16": {"deep-cnn": 0.6, "frozen pass": 0.6, "last20": 0.45},
    "fp32": {"deep-cnn": 0.85, "frozen pass": 0.6, "last20": 0.75},
}


def best_seconds(work: Callable[[], object], repeats: int = STEPS) -> float:
    """The fastest of several runs, after one to warm up."""
    work()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def peak(dtype: torch.dtype) -> float:
    """FLOP/s of a product of two SIZE x SIZE matrices."""
    a, b = torch.randn(SIZE, SIZE).to(dtype), torch.randn(SIZE, SIZE).to(dtype)
    return 2 * SIZE**3 / best_seconds(lambda: a @ b)


def flops(work: Callable[[], object]) -> int:
    """How many operations some work takes."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def training_step(strategy: str, model: torch.nn.Module, inputs: torch.Tensor, bf16: bool) -> tuple[float, float]:
    """FLOPs and seconds of one step: forward, backward and the recipe's optimizers."""
    labels = torch.randint(10, (len(inputs),))
    optimizers = make_optimizers(model, STRATEGIES[strategy].recipe, torch.bfloat16 if bf16 else torch.float32)
    model.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(inputs)
        F.cross_entropy(logits.float(), labels).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return flops(step), best_seconds(step)


def main() -> None:
    """Print a line a phase."""
    fabric = make_fabric("cpu")
    bf16 = fabric._precision.precision == "bf16-mixed"
    seed_all(0)
    print(hardware(fabric.device))
    print(f"{'phase':44}{'images/s':>10}{'GFLOP/s':>10}{'of peak':>9}{'goal':>6}")
    peaks = {"fp32": peak(torch.float32)} | ({"bf16": peak(torch.bfloat16)} if bf16 else {})
    for name, rate in peaks.items():
        print(f"{'matrix product, ' + name:44}{'':10}{rate / 1e9:10.0f}", flush=True)

    def line(name: str, images: int, operations: float, seconds: float, precision: str) -> None:
        rate = operations / seconds
        goal = GOALS[precision].get(name.split(":")[0])
        wanted = f"{goal:6.0%}" if goal else ""
        share = rate / peaks[precision]
        print(f"{name:44}{images / seconds:10,.0f}{rate / 1e9:10.0f}{share:9.0%}{wanted}", flush=True)

    precision = "bf16" if bf16 else "fp32"
    for kind in ("base-cnn", "deep-cnn"):
        images = np.random.default_rng(0).integers(0, 256, (5000, *IMAGE_SHAPE), dtype=np.uint8)
        network, _ = build.from_scratch(kind, images, 10)
        batch = torch.from_numpy(images[: STRATEGIES[kind].recipe.batch_size]).permute(0, 3, 1, 2)  # channels last
        line(f"{kind}: a training step", len(batch), *training_step(kind, network.trainable, batch, bf16), precision)

    backbone = load_backbone("tf_efficientnet_lite0.in1k", offline=True)
    cut = backbone.cut(STRATEGIES["last20"].frozen_share or 1)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, *IMAGE_SHAPE), dtype=np.uint8)
    taps = Taps(backbone.chain, [cut, len(backbone.chain)])
    some = torch.from_numpy(pixels[:8]).permute(0, 3, 1, 2)
    operations = flops(lambda: taps(some)) / len(some) * IMAGES
    name = FrozenPass(backbone.chain, [cut], IMAGE_SHAPE, fabric.device).choice["engine"]
    engine = engines(taps, IMAGE_SHAPE, fabric.device)[name]()
    seconds = best_seconds(lambda: engine(pixels, lambda start, outputs: None), repeats=3)
    line(f"frozen pass: Lite0, {backbone.image_size} px, {name}", IMAGES, operations, seconds, name[-4:])

    network, _ = build.on_backbone(backbone, cut, STRATEGIES["last20"].hidden, STRATEGIES["last20"].batchnorm, 10)
    with torch.no_grad():
        shape = network.frozen(some[:1]).shape[1:]
    activations = torch.randn(STRATEGIES["last20"].recipe.batch_size, *shape)
    step = training_step("last20", network.trainable, activations, bf16)
    line("last20: a training step", len(activations), *step, precision)


if __name__ == "__main__":
    main()
