from __future__ import annotations

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from headstart.models.network import Network
from headstart.training.batches import Samples
from headstart.training.fit import TrainVal
from headstart.training.mixtures import SHARES, Line, best_share, fit_head

FEATURES = 6


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


def network(seed):
    torch.manual_seed(seed)
    trainable = nn.Sequential()
    trainable.backbone, trainable.head = nn.Linear(FEATURES, FEATURES), nn.Sequential(nn.Linear(FEATURES, 2))
    with torch.no_grad():
        trainable.backbone.weight.add_(2 * torch.eye(FEATURES))
    return Network(nn.Sequential(), trainable)


def samples(count=200, seed=0):
    """Two classes that differ in the first of their activations."""
    given = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(seed))
    return Samples(given.half(), torch.arange(count)[None], (given[:, 0] > 0).long(), ("identity",))


def weights(network):
    return {name: value.clone() for name, value in network.trainable.state_dict().items()}


def test_its_ends_are_the_two_networks_to_the_last_bit_and_its_middle_lies_between(fabric):
    line = Line(network(0), network(1))
    old, middle, new = (weights(line.at(share)) for share in (0.0, 0.5, 1.0))
    for name, value in weights(line.start).items():
        assert torch.equal(old[name], value) and torch.equal(new[name], weights(line.end)[name])
        assert torch.allclose(middle[name], (value + weights(line.end)[name]) / 2)


def test_the_head_of_the_start_is_trained_and_its_backbone_is_as_it_was(fabric):
    before = network(0)
    nn.init.zeros_(before.trainable.head[0].weight)  # as new heads begin
    nn.init.zeros_(before.trainable.head[0].bias)
    as_it_was = weights(before)
    line = Line.of(before, network(1), TrainVal(samples(), samples(seed=1)), fabric, seed=0)
    start = weights(line.start)
    assert {name for name in start if not torch.equal(start[name], as_it_was[name])} == {"head.0.weight", "head.0.bias"}
    assert all(torch.equal(weights(before)[name], value) for name, value in as_it_was.items())
    rows = line.measured(samples(seed=2), None, fabric)
    assert [row["share"] for row in rows] == list(SHARES)
    assert rows[0]["accuracy"] > 0.7 > rows[-1]["accuracy"]  # the other end never learned anything
    assert rows[0]["agreement"] is None


def test_training_a_head_changes_no_random_number_that_follows(fabric):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    fit_head(network_with_dropout(), TrainVal(samples(), samples(seed=1)), fabric, seed=0)
    assert torch.equal(torch.rand(4), wanted)


def network_with_dropout():
    with torch.random.fork_rng():
        made = network(0)
        made.trainable.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, 2))
    return made


def test_of_mixtures_that_are_equally_accurate_the_one_that_forgot_least_is_the_best():
    rows = [{"share": share, "accuracy": accuracy} for share, accuracy in ((0.0, 0.5), (0.5, 0.9), (1.0, 0.9))]
    assert best_share(rows) == 0.5
    assert best_share([*rows, {"share": 0.75, "accuracy": 0.91}]) == 0.75
