"""deep-cnn beside what its users train today: accuracy against time, on the 45,000 and 5,000 images of train and val.

Peers: airbench94 (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"), its own code on a CPU; the student
project's kind of CNN in Keras + TensorFlow (three pairs of convolutions with dropout, Adam, mirrored images, stops when
val no longer improves), and ResNet-18 in plain PyTorch (3x3 stem, SGD with momentum, padded random crops and mirroring
by a DataLoader, one cosine over 30 epochs). Each has a process of its own and as many seconds as the first argument
says (1,200 where there is none); it is never stopped within an epoch, and none is begun after that. More arguments:
which of them.

Needs the `bench` extra: .venv/bin/pip install -e ".[bench]"
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGETS = (0.80, 0.90, 0.94)
BUDGET = 1200.0  # seconds

Tell = Callable[[float], bool]  # takes an epoch's accuracy on val, and says whether there is time for another


def keras_cnn(tell: Tell) -> None:
    """VGG-like: 32, 64 and 128 filters, dense 128."""
    import keras
    from keras import layers

    from headstart.data.load import load

    data = load("cifar10")
    stack: list[keras.Layer] = [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.RandomFlip("horizontal")]
    for filters, dropout in ((32, 0.2), (64, 0.3), (128, 0.4)):
        for _ in range(2):
            stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.BatchNormalization()]
        stack += [layers.MaxPooling2D(), layers.Dropout(dropout)]
    stack += [layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.5), layers.Dense(10)]
    model = keras.Sequential(stack)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )

    class Teller(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.model.stop_training |= not tell((logs or {})["val_accuracy"])

    model.fit(
        data.train.images[:],
        data.train.labels,
        batch_size=64,
        epochs=100,
        validation_data=(data.val.images[:], data.val.labels),
        callbacks=[Teller(), keras.callbacks.EarlyStopping(patience=10)],
        verbose=0,
    )


def plain_resnet18(tell: Tell) -> None:
    """torchvision's ResNet-18 with the stem that 32-pixel images need, in float32."""
    import torch
    import torchvision
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import v2

    from headstart.data.dataset import Subset
    from headstart.data.load import load

    data = load("cifar10")
    normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.491, 0.482, 0.447], [0.247, 0.243, 0.262])]
    augment = v2.Compose([v2.ToImage(), v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), *normalise])
    plain = v2.Compose([v2.ToImage(), *normalise])

    class Images(Dataset[tuple[torch.Tensor, int]]):
        def __init__(self, split: Subset, transform: v2.Compose):
            self.split, self.transform = split, transform

        def __len__(self) -> int:
            return len(self.split)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return self.transform(self.split.images[index]), int(self.split.labels[index])

    train = DataLoader(Images(data.train, augment), 128, shuffle=True, num_workers=2, persistent_workers=True)
    val = DataLoader(Images(data.val, plain), 512)
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    for _ in range(30):
        model.train()
        for images, labels in train:
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
        model.eval()
        with torch.inference_mode():
            right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in val)
        if not tell(right / len(data.val)):
            return


def headstart_deep_cnn(tell: Tell) -> None:
    """The strategy as it is, whatever the budget; accuracies without test-time augmentation."""
    from headstart.data.load import load
    from headstart.runtime.device import make_fabric, seed_all
    from headstart.strategies import STRATEGIES
    from headstart.training.fit import TrainVal, Watch, fit
    from headstart.training.preparation import from_scratch

    data, fabric, strategy = load("cifar10"), make_fabric("cpu"), STRATEGIES["deep-cnn"]
    seed_all(0)
    prepared = from_scratch(strategy, data, fabric.device)
    train, _ = prepared.samples(data.train, strategy.recipe.views)
    val, _ = prepared.samples(data.val, ("identity",))
    watch = Watch(on_row=lambda row: [tell(row["val_accuracy"])][:0])
    fit(prepared.network.trainable, TrainVal(train, val), strategy.recipe, fabric, 0, watch)


def airbench94(tell: Tell) -> None:
    """The published recipe, whole, whatever the budget. What of its code needs a GPU is put in place here: half
    precision becomes float32, or autocast to bfloat16 where headstart would take that too; clock and device are the
    CPU's. Its last line is averaged over six views."""
    import tempfile
    from unittest import mock

    import torch
    from airbench import lib_airbench94, utils

    from headstart.data.load import load
    from headstart.runtime.device import make_fabric, precision_of

    data, fast = load("cifar10"), precision_of(make_fabric("cpu")) == "bf16-mixed"

    def make_net() -> torch.nn.Module:
        net = lib_airbench94.make_net94()
        forward = net.forward

        def with_autocast(inputs: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                return forward(inputs).float()

        net.forward = with_autocast
        return net

    def report(variables: dict[str, Any], is_final_entry: bool) -> None:
        tell(variables["tta_val_acc"] if is_final_entry else variables["val_acc"])

    clock = mock.Mock(**{"return_value.elapsed_time.return_value": 0.0})
    read = torch.load
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        mock.patch.multiple(torch.Tensor, half=torch.Tensor.float, cuda=lambda self: self),
        mock.patch.multiple(torch.nn.Module, half=torch.nn.Module.float, cuda=lambda self: self),
        mock.patch.multiple(torch.cuda, Event=clock, synchronize=lambda: None),
        mock.patch.object(torch, "load", lambda path, map_location: read(path)),
        mock.patch.multiple(utils, print_training_details=report, print_columns=lambda *args, **options: None),
    ):
        Path("cifar10").mkdir()
        for name, part in {"train": data.train, "test": data.val}.items():
            images, labels = torch.from_numpy(part.images[:]), torch.from_numpy(part.labels)
            torch.save({"images": images, "labels": labels, "classes": list(data.class_names)}, f"cifar10/{name}.pt")
        torch.manual_seed(0)
        lib_airbench94.train94(make_net=make_net)


JOBS = {
    "deep-cnn, headstart": headstart_deep_cnn,
    "airbench94": airbench94,
    "CNN, Keras + TensorFlow": keras_cnn,
    "ResNet-18, plain PyTorch": plain_resnet18,
}


def one_job(name: str, budget: float) -> None:
    """Do a job and print, an epoch a line, seconds since its process began to work and accuracy on val."""
    started = time.perf_counter()

    def tell(accuracy: float) -> bool:
        seconds = time.perf_counter() - started
        print(seconds, accuracy, flush=True)
        return seconds < budget

    JOBS[name](tell)


def main() -> None:
    """Print a line a job: seconds to each of TARGETS on val, epochs, seconds an epoch, and the best of it."""
    if sys.argv[1:2] == ["job"]:
        one_job(sys.argv[2], float(sys.argv[3]))
        return
    budget = sys.argv[1] if len(sys.argv) > 1 else str(BUDGET)
    targets = "".join(f"{f'to {100 * target:.0f} %':>10}" for target in TARGETS)
    print(f"{'accuracy on val':26}{targets}{'epochs':>9}{'s/epoch':>9}{'best':>9}{'in all':>10}", flush=True)
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    for name in sys.argv[2:] or JOBS:
        command = [sys.executable, __file__, "job", name, budget]
        done = subprocess.run(command, env=quiet, check=True, text=True, stdout=subprocess.PIPE)
        epochs = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
        reached = (next((f"{s:.0f} s" for s, accuracy in epochs if accuracy >= target), "-") for target in TARGETS)
        seconds, best = epochs[-1][0], max(accuracy for _, accuracy in epochs)
        cells = "".join(f"{cell:>10}" for cell in reached)
        print(
            f"{name:26}{cells}{len(epochs):9}{seconds / len(epochs):9.0f}{100 * best:8.2f}%{seconds:8.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
