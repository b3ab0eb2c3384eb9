"""Training that was interrupted goes on bit for bit, from files that are whole or are not taken."""

from __future__ import annotations

import errno
import json
import os
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn

from headstart.strategies import Group, Recipe
from headstart.training import checkpoint
from headstart.training.batches import Samples
from headstart.training.checkpoint import MOST, Checkpoints
from headstart.training.fit import TrainVal, Watch, fit

GROUPS = (
    Group("convolution.weight", "muon", 0.05),
    Group("norm.*", "sgd", 0.1, momentum=0.8),
    Group("*", "adamw", 1e-2),
)
RECIPE = Recipe(groups=GROUPS, epochs=6, batch_size=16, warmup=0.1, mixup=0.5, translate=2)
MEASURED = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for such small maps another one only waits
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


def pictures(count, seed):
    pixels = torch.randint(0, 256, (count, 8, 8, 3), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    labels = (pixels[..., 0].float().mean((1, 2)) > 127).long()
    return Samples.of_images(
        pixels.numpy(), torch.arange(count).numpy(), labels.numpy(), ("identity", "mirror"), torch.device("cpu")
    )


SAMPLES = TrainVal(pictures(72, 1), pictures(32, 2))


class Network(nn.Sequential):
    """All that has a state: weights that lie channels last, statistics, dropout."""

    def __init__(self):
        super().__init__(
            OrderedDict(
                convolution=nn.Conv2d(3, 8, 3),
                norm=nn.BatchNorm2d(8),
                act=nn.ReLU(),
                flat=nn.Flatten(),
                drop=nn.Dropout(0.3),
                last=nn.Linear(288, 2),
            )
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        return super().forward(x.float() / 255)


class Killed(BaseException):
    """The process was killed."""


def trained(fabric, recipe, kept=None, until=None, epochs=None):
    """A model, and what `fit` gave of it; until: the epoch during which the process is killed."""
    torch.manual_seed(0)
    model = Network()
    rows = []

    def on_batch(images):
        if until is not None and len(rows) == until:
            raise Killed

    fitted = fit(model, SAMPLES, recipe, fabric, 0, Watch(rows.append, on_batch, epochs), kept)
    assert rows == fitted.history
    return model, fitted


def kept_in(folder, made_by=None, share=float("inf")):
    return Checkpoints(folder, {"seed": 0} | (made_by or {}), "net/seed0", share)


def same(a, b):
    (model, fitted), (other, another) = a, b
    assert all(torch.equal(x, y) for x, y in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    unmeasured = [
        [{key: str(value) for key, value in row.items() if key not in MEASURED} for row in each.history]
        for each in (fitted, another)
    ]
    assert unmeasured[0] == unmeasured[1]
    assert (fitted.ended, fitted.changes) == (another.ended, another.changes)


RECIPES = {
    "three optimizers, linear": RECIPE,
    "a plateau": replace(RECIPE, schedule="plateau", mixup=0.0),
    "every other epoch": replace(RECIPE, validate_every=2, schedule="cosine"),
    "early stopping": replace(RECIPE, groups=(Group("*", "sgd", 0.0),), patience=2),
    "so fast that the best is not the last": replace(RECIPE, groups=(Group("*", "sgd", 2.0),)),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("until", [1, 2])
def test_interrupted_training_goes_on_bit_for_bit(name, until, fabric, tmp_path):
    recipe = RECIPES[name]
    with pytest.raises(Killed):
        trained(fabric, recipe, kept_in(tmp_path), until)
    torch.manual_seed(99)  # whatever the new process drew before
    same(trained(fabric, recipe), trained(fabric, recipe, kept_in(tmp_path)))


def test_those_of_another_machine_do_not_stand_before_those_that_follow(fabric, tmp_path):
    with pytest.raises(Killed):
        trained(fabric, RECIPE, kept_in(tmp_path, {"hardware": "A"}), 4)
    with pytest.raises(Killed):
        trained(fabric, RECIPE, kept_in(tmp_path, {"hardware": "B"}), 2)
    kept = [read(path) for path in sorted(tmp_path.glob("*.safetensors"))]
    assert {each["made_by"]["hardware"] for each in kept} == {"B"}
    same(trained(fabric, RECIPE), trained(fabric, RECIPE, kept_in(tmp_path, {"hardware": "B"}), 6))


def read(path):
    return json.loads(load_file(path)[checkpoint.VALUES].numpy().tobytes())


def test_a_clock_that_changed_the_epochs_is_not_asked_again(fabric, tmp_path):
    asked = {1: 4.5}.get
    with pytest.raises(Killed):
        trained(fabric, RECIPE, kept_in(tmp_path), 2, asked)
    whole, resumed = trained(fabric, RECIPE, epochs=asked), trained(fabric, RECIPE, kept_in(tmp_path))
    assert resumed[1].changes == ((1, 4.5),)
    same(whole, resumed)


def test_one_that_was_killed_after_its_last_epoch_trains_no_more(fabric, tmp_path):
    whole = trained(fabric, RECIPE, kept_in(tmp_path))
    same(whole, trained(fabric, RECIPE, kept_in(tmp_path), until=6))


def test_seconds_go_on_and_two_files_are_kept_at_most(fabric, tmp_path):
    found = []
    watch = Watch(on_row=lambda row: found.append(len(list(tmp_path.iterdir()))))
    fitted = fit(Network(), SAMPLES, RECIPE, fabric, 0, watch, kept_in(tmp_path))
    assert max(found) == len(list(tmp_path.iterdir())) == MOST
    (again, seconds) = fit(Network(), SAMPLES, RECIPE, fabric, 0, None, kept_in(tmp_path)), fitted.seconds
    assert again.history == fitted.history
    assert again.seconds > sum(row["seconds"] for row in fitted.history)
    assert seconds > 0


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"\0" + data[1:], lambda data: b""])
def test_a_damaged_file_is_said_and_the_one_before_it_taken(damage, fabric, tmp_path, capsys):
    with pytest.raises(Killed):
        trained(fabric, RECIPE, kept_in(tmp_path), 3)
    last = max(tmp_path.iterdir(), key=lambda path: int(path.name.split("-")[0]))
    last.write_bytes(damage(last.read_bytes()))
    resumed = trained(fabric, RECIPE, kept_in(tmp_path))
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be read (its checksum differs)" in said
    assert "net/seed0 goes on after epoch 2" in said
    assert not last.exists()
    same(trained(fabric, RECIPE), resumed)


def test_what_was_made_by_another_version_is_said_and_left(fabric, tmp_path, capsys):
    with pytest.raises(Killed):
        trained(fabric, RECIPE, kept_in(tmp_path, {"torch": "2.14"}), 3)
    resumed = trained(fabric, RECIPE, kept_in(tmp_path, {"torch": "2.15"}))
    assert 'net/seed0 was begun with torch "2.14", not "2.15": it is trained anew' in capsys.readouterr().err
    same(trained(fabric, RECIPE), resumed)


def test_epochs_that_are_over_sooner_than_a_file_is_worth_are_left_out(fabric, tmp_path):
    fit(Network(), SAMPLES, RECIPE, fabric, 0, None, kept_in(tmp_path, share=1e-9))
    assert not list(tmp_path.iterdir())


def test_on_a_full_disk_training_goes_on_and_says_so_once(fabric, tmp_path, monkeypatch, capsys):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))

    monkeypatch.setattr(checkpoint, "write_bytes", full)
    same(trained(fabric, RECIPE), trained(fabric, RECIPE, kept_in(tmp_path)))
    assert capsys.readouterr().err.count("no checkpoint of net/seed0 could be written, the disk is full") == 1
