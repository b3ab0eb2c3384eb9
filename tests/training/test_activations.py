from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_data import dataset_of
from torch import nn

from headstart.data.dataset import Split
from headstart.errors import HeadstartError
from headstart.models.network import Readout
from headstart.models.preprocessing import Preprocessing
from headstart.training import activations
from headstart.training.activations import FrozenPass

CPU = torch.device("cpu")
VIEWED = activations.viewed


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
    """So many random images, all of which train."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    none = pixels[:0], np.arange(0)
    return dataset_of("noise", ("a", "b"), (pixels, np.arange(count) % 2), none, none).train


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
        pixels = torch.from_numpy(split.images[:]).permute(0, 3, 1, 2)
        for view, seen in enumerate((pixels, pixels.flip(-1))):
            kept, again = (each.taken(view, slice(None), CPU) for each in (made, read))
            assert torch.equal(kept, again)
            with torch.inference_mode():
                torch.testing.assert_close(kept.float(), network.split(cut)[0](seen), rtol=2e-2, atol=2e-2)


def test_one_pass_serves_every_cut_and_view_once(cache, monkeypatch):
    seen = passed(monkeypatch)
    for _ in range(2):
        shared = frozen_pass(chain())
        for cut in (3, 2):
            shared.samples(images(), ("identity", "mirror"), cut)
    assert seen == [("identity", 20), ("mirror", 20)]


def passed(monkeypatch):
    """A list that grows by (view, number of images) with every chunk that is run through a chain."""
    seen = []

    def viewed(images, view):
        seen.append((view, len(images)))
        return VIEWED(images, view)

    monkeypatch.setattr(activations, "viewed", viewed)
    return seen


def test_only_images_that_are_new_are_passed(cache, monkeypatch):
    seen = passed(monkeypatch)
    frozen_pass(chain()).samples(images(20), ("identity",), 3)
    made, _ = frozen_pass(chain()).samples(images(26), ("identity",), 3)
    assert seen == [("identity", 20), ("identity", 6)]
    fresh, _ = FrozenPass(chain(), [3], (12, 12, 3), CPU).samples(images(26), ("identity",), 3)
    assert torch.equal(made.taken(0, slice(None), CPU), fresh.taken(0, slice(None), CPU))


def test_every_split_and_size_of_a_collection_shares_its_activations(cache, monkeypatch):
    seen = passed(monkeypatch)
    data = images(20).dataset
    for rows in (np.arange(0, 20, 2), np.arange(10), np.arange(20)):
        smaller = data.with_splits(replace(data.splits[0], train=rows))
        frozen_pass(chain()).samples(smaller.train, ("identity",), 3)
    assert [count for _, count in seen] == [10, 5, 5]


def test_what_train_has_val_gets_too_and_another_split_finds_all_of_it(cache, monkeypatch):
    seen = passed(monkeypatch)
    data = images(20).dataset
    rows = np.arange(20)
    for split in (Split("holdout", rows[6:], rows[:3], rows[3:6]), Split("holdout", rows[:14], rows[14:17], rows[17:])):
        cut = data.with_splits(split)
        for part in cut.parts.values():
            frozen_pass(chain()).samples(part, ("identity", "mirror"), 3)
    assert seen == [("identity", 17), ("mirror", 17), ("identity", 3), ("mirror", 3)]


def test_what_is_scored_is_kept_in_32_bits_beside_what_is_trained_on(cache, monkeypatch):
    seen = passed(monkeypatch)
    network, split = chain(), images()
    exact = FrozenPass(network, (2, 3), (12, 12, 3), CPU, exact=True)
    assert exact.choice["engine"].endswith("fp32")
    with torch.inference_mode():
        expected = network.split(3)[0](torch.from_numpy(split.images[:]).permute(0, 3, 1, 2))
    rounded, kept = (each.samples(split, ("identity",), 3)[0].inputs for each in (frozen_pass(network), exact))
    assert (rounded.dtype, kept.dtype) == (torch.float16, torch.float32)
    torch.testing.assert_close(kept, expected, rtol=1e-5, atol=1e-5)
    assert seen == 2 * [("identity", 20)]


def test_an_image_that_is_there_twice_is_passed_once(cache, monkeypatch):
    seen = passed(monkeypatch)
    data = images(20).dataset
    twice = data.with_splits(replace(data.splits[0], train=np.array([3, 4, 3])))
    samples, _ = frozen_pass(chain()).samples(twice.train, ("identity",), 3)
    first, _, third = samples.taken(0, slice(None), CPU)
    assert seen == [("identity", 2)]
    assert torch.equal(first, third)


def place(network, cut=2):
    return frozen_pass(network)._table("noise", cut).folder


@pytest.mark.parametrize(
    "other",
    [{"network": chain(seed=1)}, {"network": chain(image_size=20)}, {"cut": 3}],
    ids=lambda other: str([*other]),
)
def test_activations_made_by_another_chain_are_never_used(cache, other):
    same = {"network": chain(), "cut": 2}
    assert place(**same) == place(**same)
    assert place(**same | other) != place(**same)


@pytest.mark.parametrize("package", ["timm", "headstart"])
def test_activations_made_by_another_version_are_never_used(cache, monkeypatch, package):
    before = place(chain())
    if package == "timm":
        monkeypatch.setattr(activations.metadata, "version", lambda name: "0.0")
    else:
        monkeypatch.setattr(activations, "__version__", "0.0")
    assert place(chain()) != before


def test_a_pass_that_gives_other_cuts_is_another_one_since_its_engine_may_round_otherwise(cache, monkeypatch):
    seen = passed(monkeypatch)
    frozen_pass(chain(), cuts=(3,)).samples(images(), ("identity",), 3)
    frozen_pass(chain(), cuts=(2, 3)).samples(images(), ("identity",), 3)
    assert seen == [("identity", 20), ("identity", 20)]


def test_the_seconds_of_a_pass_are_remembered(cache):
    split = images()
    _, made = frozen_pass(chain()).samples(split, ("identity",), 3)
    _, read = frozen_pass(chain()).samples(split, ("identity",), 3)
    assert made == read > 0


@pytest.mark.parametrize("scale", [1e6, float("nan")])
def test_a_pass_that_fails_leaves_nothing_that_is_trusted(cache, scale):
    one = frozen_pass(chain(scale=scale))
    one.choice = {"engine": "eager-fp32", "measured": {}}  # others may turn NaN into 0: their ReLU is max(0, x)
    with pytest.raises(HeadstartError, match="too large for 16 bits"):
        one.samples(images(), ("identity",), 2)
    assert not one._table("noise", 2).known([f"{digest} identity" for digest in images().digests]).any()


def test_another_engine_or_other_hardware_is_another_entry(cache, monkeypatch):
    one = frozen_pass(chain())
    before = one._table("noise", 2).folder
    one.choice = {"engine": "another", "measured": {}}
    assert one._table("noise", 2).folder != before
    one.choice = frozen_pass(chain()).choice
    assert one._table("noise", 2).folder == before
    monkeypatch.setattr(activations, "hardware", lambda device: "another machine")
    assert one._table("noise", 2).folder != before


class Fickle(nn.Module):
    """Decides by its data: no engine but PyTorch's own can run it."""

    def forward(self, x):
        return x + 1 if x.mean() > 1e9 else x


def test_a_network_that_only_pytorch_can_run_is_run_by_pytorch(cache):
    odd = Readout(nn.Sequential(OrderedDict(chain().named_children(), fickle=Fickle())).eval(), pools=())
    one = FrozenPass(odd, [4], (12, 12, 3), CPU)
    samples, _ = one.samples(images(), ("identity",), 4)
    assert one.choice["engine"].startswith("eager")
    assert samples.taken(0, slice(None), CPU).shape == (20, 8)


def test_the_measured_choice_of_an_engine_is_kept(cache):
    first = frozen_pass(chain()).choice
    probes = list((cache.parent / "probes").glob("engine-*.json"))
    assert len(probes) == 1
    assert json.loads(probes[0].read_text()) == first
    assert frozen_pass(chain()).choice == first
