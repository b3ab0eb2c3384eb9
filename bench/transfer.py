"""EfficientNetB0 at 224 pixels on 32x32 images, done here and as the tutorials do it; weights are random: timing only.

Every job runs in a process of its own, one after another, and tells its images a second and its peak memory. Frozen:
the forward pass that each job repeats (a tutorial does it every epoch). last20: what an image costs in one of EPOCHS
epochs, here with its part of the frozen pass (its mirrored view too, as the recipe has it).

Needs the `bench` extra: .venv/bin/pip install -e ".[bench]"
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

PIXELS = 224
CLASSES = 10
IMAGES = 512
STEPS = 3
BATCH = 64  # the tutorials'; ours take their recipe's
BACKBONE = "tf_efficientnet_b0.aa_in1k"


def fastest(work: Callable[[], object], images: int) -> float:
    """Images a second of the fastest of STEPS runs, after one to warm up."""
    seconds = []
    for _ in range(STEPS + 1):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return images / min(seconds[1:])


def pixels(count: int = IMAGES) -> np.ndarray:
    """Noise for images: (N, 32, 32, 3) uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def keras_frozen() -> float:
    """The frozen base of the Keras guide, by `predict` as its users extract features."""
    import keras

    base = keras.applications.EfficientNetB0(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    base.trainable = False
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Resizing(PIXELS, PIXELS), base])
    images = pixels()
    return fastest(lambda: model.predict(images, batch_size=BATCH, verbose=0), len(images))


def headstart_frozen() -> float:
    """The pass by the engine that is measured to be fastest."""
    import torch

    from headstart.models import backbones
    from headstart.models.network import Taps
    from headstart.training.engines import choose, engines

    chain = backbones.as_chain(*backbones.create(BACKBONE, PIXELS))
    taps, device, images = Taps(chain, [len(chain)]), torch.device("cpu"), pixels()
    name = choose(taps, images.shape[1:], device, "bench-transfer")["engine"]
    print(f"  (engine: {name})", file=sys.stderr, flush=True)
    engine = engines(taps, images.shape[1:], device)[name]()
    return fastest(lambda: engine(images, lambda start, outputs: None), len(images))


def plain_last20() -> float:
    """PyTorch and timm with a DataLoader: the whole forward pass every epoch, backward through the last blocks."""
    import timm
    import torch
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    turn = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((PIXELS, PIXELS), interpolation=v2.InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )

    class Images(Dataset[tuple[torch.Tensor, int]]):
        images = pixels(STEPS * BATCH)

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return turn(self.images[index]), index % CLASSES

    model = timm.create_model(BACKBONE, num_classes=CLASSES).requires_grad_(False)
    for part in (*model.blocks[5][2:], *model.blocks[6:], model.conv_head, model.bn2, model.classifier):
        part.requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    loader = DataLoader(Images(), BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def epoch() -> None:
        for inputs, labels in loader:
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    return fastest(epoch, STEPS * BATCH)


def headstart_last20() -> float:
    """Steps of the recipe on activations, and each epoch's part of the pass that made them."""
    import torch
    from torch.nn import functional as F

    from headstart.models import backbones, build
    from headstart.runtime.device import make_fabric, seed_all
    from headstart.strategies import STRATEGIES
    from headstart.training.optimizers import make_optimizers

    seed_all(0)
    fabric, strategy = make_fabric("cpu"), STRATEGIES["last20"]
    chain = backbones.as_chain(*backbones.create(BACKBONE, PIXELS))
    backbone = backbones.Backbone(BACKBONE, "none", "timing only", "", chain, PIXELS, True)
    cut = backbone.cut(strategy.frozen_share or 1)
    network, _ = build.on_backbone(backbone, cut, strategy.hidden, strategy.batchnorm, CLASSES)
    batch = strategy.recipe.batch_size
    with torch.no_grad():
        shape = network.frozen(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1:]
    activations, labels = torch.randn(batch, *shape), torch.arange(batch) % CLASSES
    model, *optimizers = fabric.setup(network.trainable, *make_optimizers(network.trainable, strategy.recipe))
    model.train()

    def step() -> None:
        fabric.backward(F.cross_entropy(model(activations), labels))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    passes = len(strategy.recipe.views) / strategy.recipe.epochs
    return 1 / (1 / fastest(step, batch) + passes / headstart_frozen())


JOBS = {
    "frozen pass, Keras + TensorFlow": keras_frozen,
    "frozen pass, headstart": headstart_frozen,
    "last20, plain PyTorch + timm": plain_last20,
    "last20, headstart": headstart_last20,
}


def main() -> None:
    """Print a line a job; with a job's name as the argument, do that one."""
    if len(sys.argv) > 1:
        rate = JOBS[sys.argv[1]]()
        print(rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    print(f"{'EfficientNetB0, 224 px':36}{'images/s':>10}{'ratio':>8}{'peak GiB':>10}{'45,000 images':>16}", flush=True)
    peer = 0.0
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    for name in JOBS:
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, env=quiet, check=True, text=True, stdout=subprocess.PIPE)
        rate, memory = map(float, done.stdout.split()[-2:])
        peer = peer if name.endswith("headstart") else rate
        print(f"{name:36}{rate:10.0f}{rate / peer:8.1f}{memory:10.1f}{45_000 / rate:14.0f} s", flush=True)


if __name__ == "__main__":
    main()
