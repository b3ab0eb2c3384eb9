from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional as F

from headstart.errors import HeadstartError
from headstart.models.build import Retrained
from headstart.models.network import Network
from headstart.strategies import Group, Recipe
from headstart.training import fit as training
from headstart.training.batches import Samples
from headstart.training.fit import TrainVal, Watch, fit, predict, score
from headstart.training.optimizers import make_optimizers

RECIPE = Recipe(groups=(Group("*", "adamw", 1e-2),), epochs=6, batch_size=16, schedule="constant", views=("identity",))


@pytest.fixture
def fabric():
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


def points(count, seed):
    """Two classes that a line parts, as activations."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return Samples(x.half(), torch.arange(count)[None], (x[:, 0] + x[:, 1] > 0).long(), ("identity",))


POINTS = TrainVal(points(128, 1), points(64, 2))


def fitted(fabric, recipe=RECIPE, seed=0, **watched):
    torch.manual_seed(seed)
    model = nn.Sequential(OrderedDict(first=nn.Linear(4, 8), act=nn.ReLU(), last=nn.Linear(8, 2)))
    return model, fit(model, POINTS, recipe, fabric, seed, Watch(**watched)).history


def test_it_learns(fabric):
    _, history = fitted(fabric)
    assert history[-1]["val_accuracy"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_a_row_an_epoch_has_the_contracts_columns(fabric):
    rows = []
    _, history = fitted(fabric, on_row=rows.append)
    assert rows == history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    columns = "epoch seconds train_loss train_accuracy val_loss val_accuracy learning_rate images_per_second"
    assert all(list(row) == columns.split() for row in history)


@pytest.mark.parametrize("validate_every, epochs", [(2, [2, 4, 6]), (4, [4, 6]), (9, [6])])
def test_looking_less_often_changes_what_is_told_and_not_how_it_trains(fabric, validate_every, epochs):
    _, often = fitted(fabric)
    _, seldom = fitted(fabric, replace(RECIPE, validate_every=validate_every))
    assert [row["epoch"] for row in seldom] == epochs
    told = {row["epoch"]: row["val_loss"] for row in often}
    assert [row["val_loss"] for row in seldom] == [told[epoch] for epoch in epochs]


def test_it_says_after_every_batch_how_many_images_it_had(fabric):
    counts = []
    fitted(fabric, replace(RECIPE, epochs=1), on_batch=counts.append)
    assert counts == [16] * 8


def test_the_weights_of_the_best_epoch_are_restored_also_without_an_early_stop(fabric):
    recipe = replace(RECIPE, groups=(Group("*", "sgd", 3.0),), epochs=8)  # so fast that the loss goes up and down
    model, history = fitted(fabric, recipe)
    val = points(64, 2)
    loss, _ = score(predict(model, val, fabric), val.labels, F.cross_entropy)
    losses = [row["val_loss"] for row in history]
    assert losses.index(min(losses)) != len(losses) - 1, "choose another rate: the last epoch must not be the best"
    assert loss == pytest.approx(min(losses), rel=1e-5)


def test_patience_ends_training_early(fabric):
    _, history = fitted(fabric, replace(RECIPE, groups=(Group("*", "sgd", 0.0),), patience=2))
    assert len(history) == 3


def test_two_fits_with_one_seed_agree_bit_for_bit_and_another_seed_differs(fabric):
    (a, _), (b, _), (c, _) = (fitted(fabric, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert not torch.equal(a.last.weight, c.last.weight)


def test_a_loss_that_is_not_finite_is_a_clear_error(fabric):
    with pytest.raises(HeadstartError, match="learning rate is too high"):
        fitted(fabric, replace(RECIPE, groups=(Group("*", "sgd", 1e30),)))


def test_a_loss_that_is_not_finite_later_keeps_the_last_good_weights_and_says_so(fabric):
    rows = []

    def spoil(row):
        rows.append(row)
        if len(rows) == 2:  # after two good epochs the model breaks
            with torch.no_grad():
                model[0].weight.fill_(float("nan"))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    fitted = fit(model, POINTS, RECIPE, fabric, 0, Watch(on_row=spoil))
    val = points(64, 2)
    loss, _ = score(predict(model, val, fabric), val.labels, F.cross_entropy)
    assert len(fitted.history) == 2
    assert loss == pytest.approx(min(row["val_loss"] for row in fitted.history), rel=1e-5)
    assert fitted.ended == ("the loss was not finite by epoch 3: training stopped, and the weights of epoch 2 are kept")


@pytest.mark.parametrize("rate, patience", [(1e-2, None), (0.0, 2)], ids=["to its last epoch", "early"])
def test_training_that_ends_as_its_recipe_says_has_nothing_to_say_of_it(fabric, rate, patience):
    recipe = replace(RECIPE, groups=(Group("*", "sgd", rate),), patience=patience)
    assert fit(nn.Linear(4, 2), TrainVal(points(32, 1), points(16, 2)), recipe, fabric, 0).ended == ""


@pytest.mark.parametrize("precision, dtype", [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_optimizers_multiply_in_the_precision_of_the_fabric(precision, dtype, monkeypatch):
    asked = []

    def noted(model, recipe, dtype):
        asked.append(dtype)
        return make_optimizers(model, recipe, dtype)

    monkeypatch.setattr(training, "make_optimizers", noted)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    recipe = replace(RECIPE, groups=(Group("*.weight", "muon", 0.1), Group("*", "sgd", 0.1)), epochs=1)
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 2))
    fit(model, TrainVal(points(32, 1), points(16, 2)), recipe, fabric, 0)
    assert asked == [dtype]


def test_a_single_step_with_a_warm_up_moves_the_weights(fabric):
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    before = model.weight.clone()
    fit(model, TrainVal(points(16, 1), points(16, 2)), replace(RECIPE, epochs=1, warmup=0.2), fabric, 0)
    assert not torch.equal(model.weight, before)


def images(count):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, 8, 8, generator=generator), torch.arange(count) % 2


def small_backbone():
    return [
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]


def test_frozen_means_frozen_weights_and_batchnorm_statistics(fabric):
    backbone = small_backbone()
    trainable = nn.Sequential(OrderedDict(backbone=Retrained(*backbone[3:]), head=nn.Linear(4, 2)))
    network = Network(nn.Sequential(*backbone[:3]), trainable)
    before = copy.deepcopy(network.state_dict())
    pixels, labels = images(32)
    network.train()
    with torch.no_grad():
        activations = network.frozen(pixels)
    samples = Samples(activations, torch.arange(32)[None], labels, ("identity",))
    fit(network.trainable, TrainVal(samples, samples), replace(RECIPE, epochs=2), fabric, seed=0)
    network.train()
    network(pixels)  # a training forward moves the statistics of a BatchNorm that is not frozen
    after = network.state_dict()
    kept = [name for name in before if name.startswith("frozen.") or "running" in name or "num_batches" in name]
    assert len(kept) == 10
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert not torch.equal(before["trainable.backbone.0.weight"], after["trainable.backbone.0.weight"])
    assert not torch.equal(before["trainable.head.weight"], after["trainable.head.weight"])


def test_a_frozen_part_gets_no_gradient_and_stays_in_evaluation_mode():
    network = Network(nn.Sequential(*small_backbone()), nn.Linear(4, 2))
    for mode in (True, False, True):
        network.train(mode)
        assert not any(module.training for module in network.frozen.modules())
    network(images(4)[0]).sum().backward()
    assert all(p.grad is None for p in network.frozen.parameters())
    assert all(p.grad is not None for p in network.trainable.parameters())


def test_a_part_of_an_epoch_is_trained_too(fabric):
    counts = []
    _, history = fitted(fabric, replace(RECIPE, epochs=1.5), on_batch=counts.append)
    assert [row["epoch"] for row in history] == [1, 1.5]
    assert len(counts) == 12


def test_how_long_it_trains_can_be_changed_on_the_way_and_said_again(fabric):
    recipe = replace(RECIPE, schedule="linear")
    asked = []

    def sooner(done):
        asked.append(done)
        return 3.25 if done == 2 else None

    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    again = copy.deepcopy(model)
    first = fit(model, POINTS, recipe, fabric, 0, Watch(epochs=sooner))
    assert [row["epoch"] for row in first.history] == [1, 2, 3, 3.25]
    assert asked == [1, 2, 3]
    assert first.changes == ((2, 3.25),)
    fit(again, POINTS, recipe, fabric, 0, Watch(epochs=dict(first.changes).get))
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))
