from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models.network import Readout, Taps
from headstart.models.preprocessing import Preprocessing
from headstart.training import engines as module
from headstart.training.engines import choose, eager, engines

CPU = torch.device("cpu")
SHAPE = (12, 12, 3)


def taps():
    torch.manual_seed(0)
    pieces = OrderedDict(
        preprocessing=Preprocessing([0.5] * 3, [0.25] * 3, 16),
        first=nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        last=nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )
    return Taps(Readout(nn.Sequential(pieces).requires_grad_(False).eval(), pools=(2,)), [2, 3])


@pytest.fixture
def probes(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    return tmp_path / "probes"


def in_bf16(names):
    return {name for name in names if name.endswith("bf16")}


def test_every_engine_has_its_twin_in_bf16_where_that_is_wanted():
    every = engines(taps(), SHAPE, CPU, bf16=True)
    assert {name.replace("bf16", "fp32") for name in in_bf16(every)} == every.keys() - in_bf16(every)
    assert engines(taps(), SHAPE, CPU, bf16=False).keys() == every.keys() - in_bf16(every)


@pytest.mark.parametrize("fast", [False, True])
def test_bf16_is_offered_where_the_device_is_fast_at_it(fast, monkeypatch):
    monkeypatch.setattr(module, "bf16_is_fast", lambda device: fast)
    assert bool(in_bf16(engines(taps(), SHAPE, CPU))) == fast


@pytest.mark.parametrize("fast", [False, True])
def test_only_engines_that_can_be_fast_are_measured(fast, probes, monkeypatch):
    monkeypatch.setattr(module, "bf16_is_fast", lambda device: fast)
    chosen = choose(taps(), SHAPE, CPU, "key")
    assert bool(in_bf16(chosen["measured"])) == fast
    assert chosen["engine"] in chosen["measured"].keys() <= engines(taps(), SHAPE, CPU).keys()
    (probe,) = probes.glob("*.json")
    assert json.loads(probe.read_text()) == chosen["measured"]


def test_an_engine_in_bf16_that_was_measured_before_is_not_taken_where_bf16_is_slow(probes, monkeypatch):
    seconds = {"setup_seconds": 0.0, "image_seconds": 1.0}
    measured = {"eager-bf16": seconds | {"image_seconds": 0.1}, "eager-fp32": seconds}
    monkeypatch.setattr(module, "stored_probe", lambda name, device, measure: measured)
    for fast, engine in ((True, "eager-bf16"), (False, "eager-fp32")):
        monkeypatch.setattr(module, "bf16_is_fast", lambda device, fast=fast: fast)
        assert choose(taps(), SHAPE, CPU, "key")["engine"] == engine


@pytest.mark.parametrize("name", engines(taps(), SHAPE, CPU, bf16=True))
def test_every_engine_agrees_with_eager_fp32(name):
    images = np.random.default_rng(0).integers(0, 256, (37, *SHAPE), dtype=np.uint8)  # no multiple of any batch size

    def outputs(engine):
        found = [np.full((37, 6, 16, 16), np.nan, np.float32), np.full((37, 6 + 8), np.nan, np.float32)]

        def write(start, outputs):
            for whole, part in zip(found, outputs, strict=True):
                whole[start : start + len(part)] = part

        engine(images, write)
        return found

    made = engines(taps(), SHAPE, CPU, bf16=True)[name]()
    for got, expected in zip(outputs(made), outputs(eager(taps(), CPU, bf16=False)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=0.03, atol=0.03)
