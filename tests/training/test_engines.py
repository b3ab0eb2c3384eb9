from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from headstart.models.convolutions import GlobalMean
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
    assert json.loads(probe.read_text()) == chosen


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only as engines take it: an engine of `seconds` an image, by name, in place of the real ones."""
    now = [0.0]
    ran = []

    def engines_of(seconds):
        def made(name):
            def run(images, write):
                ran.append((name, len(images)))
                now[0] += seconds[name] * len(images)

            return lambda: run

        monkeypatch.setattr(module, "engines", lambda *_: {name: made(name) for name in seconds})
        return ran

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return engines_of


@pytest.mark.parametrize(
    "seconds, engine",
    [
        ({"eager-fp32": 1.09, "openvino-fp32": 1.0, "eager-bf16": 1.0}, "eager-fp32"),
        ({"eager-fp32": 1.2, "openvino-fp32": 1.05, "eager-bf16": 1.0}, "openvino-fp32"),
        ({"eager-fp32": 1.2, "openvino-fp32": 1.2, "eager-bf16": 1.0}, "eager-bf16"),
    ],
)
def test_of_engines_about_as_quick_the_first_is_taken(seconds, engine, probes, clock):
    clock(seconds)
    assert choose(taps(), SHAPE, CPU, "key")["engine"] == engine


def test_a_choice_stays_whatever_the_engines_take_later(probes, clock):
    clock({"eager-fp32": 2.0, "openvino-fp32": 1.0})
    first = choose(taps(), SHAPE, CPU, "key")
    ran = clock({"eager-fp32": 1.0, "openvino-fp32": 2.0})
    ran.clear()
    assert choose(taps(), SHAPE, CPU, "key") == first
    assert not ran
    assert choose(taps(), SHAPE, CPU, "another")["engine"] == "eager-fp32"


def test_an_engine_in_bf16_that_was_chosen_before_is_not_taken_where_bf16_is_slow(probes, clock):
    clock({"eager-fp32": 2.0, "eager-bf16": 1.0})
    assert choose(taps(), SHAPE, CPU, "key")["engine"] == "eager-bf16"
    clock({"eager-fp32": 2.0})
    assert choose(taps(), SHAPE, CPU, "key")["engine"] == "eager-fp32"


def test_an_engine_that_is_sure_to_lose_is_measured_on_few_images(probes, clock):
    ran = clock({"eager-fp32": 9.0, "openvino-fp32": 1.0, "eager-bf16": 2.0})
    measured = choose(taps(), SHAPE, CPU, "key")["measured"]
    assert measured["eager-fp32"]["image_seconds"] == 9
    images = {name: sum(count for each, count in ran if each == name) for name in measured}
    assert images["eager-fp32"] < module.PROBE_IMAGES < images["openvino-fp32"] == images["eager-bf16"]


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


class Means(nn.Module):
    """The mean of each map as a network that was retrained takes it."""

    def forward(self, images):
        return (GlobalMean()(images.float()),)


@pytest.mark.parametrize("name", engines(taps(), SHAPE, CPU, bf16=False))
def test_every_engine_takes_the_mean_of_every_channel(name):
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), dtype=np.uint8)
    means = {}
    engines(Means(), SHAPE, CPU, bf16=False)[name]()(images, lambda start, outputs: means.update({start: outputs[0]}))
    np.testing.assert_allclose(means[0][:, :, 0, 0], images.mean((1, 2)), rtol=1e-5)
