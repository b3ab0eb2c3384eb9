from __future__ import annotations

import json
import os
import time
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from headstart.data.dataset import Split
from headstart.errors import HeadstartError
from headstart.models.network import Readout, Taps
from headstart.models.preprocessing import Preprocessing
from headstart.training import activations
from headstart.training.activations import FrozenPass
from headstart.training.engines import eager, engines

CPU = torch.device("cpu")


def chain(seed=0, image_size=16, scale=1.0):
    torch.manual_seed(seed)
    pieces = OrderedDict(
        preprocessing=Preprocessing([0.5] * 3, [0.25] * 3, image_size),
        first=nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        last=nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    with torch.no_grad():
        pieces["first"][0].weight.mul_(scale)
    return Readout(nn.Sequential(pieces).requires_grad_(False).eval(), pools=(2,))


def images(count=20, seed=0, size=12):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Split(pixels, np.arange(count))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    return tmp_path / "activations"


def frozen_pass(chain, cuts=(2, 3)):
    return FrozenPass(chain, cuts, (12, 12, 3), CPU)


def test_a_cached_activation_equals_the_recomputed_one(cache):
    network, split = chain(), images()
    for cut in (2, 3):
        made, _ = frozen_pass(network).samples(split, ("identity", "mirror"), cut)
        read, _ = frozen_pass(network).samples(split, ("identity", "mirror"), cut)
        pixels = torch.from_numpy(split.images).permute(0, 3, 1, 2)
        for kept, again, seen in zip(made.inputs, read.inputs, (pixels, pixels.flip(-1)), strict=True):
            assert torch.equal(kept, again)
            with torch.inference_mode():
                torch.testing.assert_close(kept.float(), network.split(cut)[0](seen), rtol=2e-2, atol=2e-2)


def test_one_pass_serves_every_cut_and_view_once(cache, monkeypatch):
    split, ran = images(), []
    run = FrozenPass._run
    monkeypatch.setattr(FrozenPass, "_run", lambda self, split, view: (ran.append(view), run(self, split, view)))
    for _ in range(2):
        shared = frozen_pass(chain())
        for cut in (3, 2):
            shared.samples(split, ("identity", "mirror"), cut)
    assert ran == ["identity", "mirror"]


@pytest.mark.parametrize(
    "other",
    [
        {"network": chain(seed=1)},
        {"network": chain(image_size=20)},
        {"split": images(seed=1)},
        {"split": images(count=19)},
        {"view": "mirror"},
        {"cut": 3},
    ],
    ids=lambda other: next(iter(other)),
)
def test_activations_made_under_another_key_are_never_used(cache, other):
    same = {"network": chain(), "split": images(), "view": "identity", "cut": 2}

    def place(network, split, view, cut):
        return frozen_pass(network)._place(split, view, cut)

    assert place(**same) == place(**same)
    assert place(**same | other) != place(**same)


def test_the_seconds_of_a_pass_are_remembered(cache):
    split = images()
    _, made = frozen_pass(chain()).samples(split, ("identity",), 3)
    _, read = frozen_pass(chain()).samples(split, ("identity",), 3)
    assert made == read > 0


@pytest.mark.parametrize("scale", [1e6, float("nan")])
def test_a_pass_that_fails_leaves_nothing_behind(cache, scale):
    one = frozen_pass(chain(scale=scale))
    one.choice = {"engine": "eager-fp32", "measured": {}}  # others may turn NaN into 0: their ReLU is max(0, x)
    with pytest.raises(HeadstartError, match="too large for a 16-bit cache"):
        one.samples(images(), ("identity",), 2)
    assert list(cache.iterdir()) == []


def test_another_engine_or_other_hardware_is_another_key(cache, monkeypatch):
    one, split = frozen_pass(chain()), images()
    place = one._place(split, "identity", 2)
    one.choice = {"engine": "another", "measured": {}}
    assert one._place(split, "identity", 2) != place
    one.choice = frozen_pass(chain()).choice
    assert one._place(split, "identity", 2) == place
    monkeypatch.setattr(activations, "hardware", lambda device: "another machine")
    assert one._place(split, "identity", 2) != place


def test_what_a_killed_process_left_is_cleared_away(cache):
    for name, age in ((".left", 2 * 24 * 3600), (".in-use", 60)):
        (cache / name).mkdir(parents=True)
        (cache / name / "activations.npy").write_bytes(b"half")
        os.utime(cache / name, (time.time() - age,) * 2)
    frozen_pass(chain()).samples(images(), ("identity",), 2)
    assert not (cache / ".left").exists()
    assert (cache / ".in-use").exists()


class Fickle(nn.Module):
    """Decides by its data: no engine but PyTorch's own can run it."""

    def forward(self, x):
        return x + 1 if x.mean() > 1e9 else x


def test_a_network_that_only_pytorch_can_run_is_run_by_pytorch(cache):
    odd = Readout(nn.Sequential(OrderedDict(chain().named_children(), fickle=Fickle())).eval(), pools=())
    one = FrozenPass(odd, [4], (12, 12, 3), CPU)
    samples, _ = one.samples(images(), ("identity",), 4)
    assert one.choice["engine"].startswith("eager")
    assert samples.inputs[0].shape == (20, 8)


def test_the_longest_unused_activations_make_room(cache, monkeypatch):
    first, second, third = (images(seed=seed) for seed in range(3))
    one = frozen_pass(chain(), cuts=(2,))
    one.samples(first, ("identity",), 2)
    size = sum(file.stat().st_size for file in cache.rglob("*.npy"))
    monkeypatch.setattr(activations, "CACHE_BYTES", 2.5 * size)
    one.samples(second, ("identity",), 2)
    for when, split in enumerate((first, second)):  # clocks are coarse
        os.utime(one._place(split, "identity", 2), (when, when))
    one.samples(first, ("identity",), 2)  # used again: the second is now the older
    one.samples(third, ("identity",), 2)
    assert {path for path in cache.iterdir() if path.is_dir()} == {one._place(s, "identity", 2) for s in (first, third)}


def test_the_measured_choice_of_an_engine_is_kept(cache):
    first = frozen_pass(chain()).choice
    probes = list((cache.parent / "probes").glob("engine-*.json"))
    assert len(probes) == 1
    assert json.loads(probes[0].read_text()) == first["measured"]
    assert frozen_pass(chain()).choice == first


@pytest.mark.parametrize("name", engines(Taps(chain(), [3]), (12, 12, 3), CPU))
def test_every_engine_agrees_with_eager_fp32(name):
    split = images(37)  # no multiple of any batch size
    taps = Taps(chain(), [2, 3])

    def outputs(engine):
        found = [np.full((37, 6, 16, 16), np.nan, np.float32), np.full((37, 6 + 8), np.nan, np.float32)]

        def write(start, outputs):
            for whole, part in zip(found, outputs, strict=True):
                whole[start : start + len(part)] = part

        engine(split.images, write)
        return found

    for got, expected in zip(
        outputs(engines(taps, (12, 12, 3), CPU)[name]()), outputs(eager(taps, CPU, bf16=False)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=0.03, atol=0.03)
