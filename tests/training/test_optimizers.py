from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from headstart.strategies import STRATEGIES, Group, Recipe
from headstart.training.optimizers import Muon, Schedule, make_optimizers, orthogonalised, rate_factor

RECIPE = Recipe(groups=(Group("*", "sgd", 1.0),), epochs=4, batch_size=8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 72), (72, 16), (32, 32)])
def test_orthogonalised_turns_singular_values_towards_one(dtype, shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix, dtype, steps=5))
    assert values.min() > 0.65 and values.max() < 1.25  # about 0.7 and 1.2


class Products(TorchDispatchMode):
    """Notes the dtypes that matrices are multiplied in."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        if operation is torch.ops.aten.mm.default:
            self.dtypes |= {matrix.dtype for matrix in arguments}
        return operation(*arguments, **(options or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_multiplies_in_the_dtype_that_it_is_given(dtype):
    model = nn.Conv2d(4, 8, 3, bias=False)
    (optimizer,) = make_optimizers(model, replace(RECIPE, groups=(Group("*", "muon", 0.1),)), dtype)
    model(torch.randn(2, 4, 6, 6)).sum().backward()
    with Products() as products:
        optimizer.step()
    assert products.dtypes == {dtype}
    assert model.weight.dtype == torch.float32


def test_without_a_word_about_it_muon_multiplies_in_fp32():
    model = nn.Linear(4, 8, bias=False)
    (optimizer,) = make_optimizers(model, replace(RECIPE, groups=(Group("*", "muon", 0.1),)))
    model(torch.randn(2, 4)).sum().backward()
    with Products() as products:
        optimizer.step()
    assert products.dtypes == {torch.float32}


def test_muon_keeps_the_norm_of_a_filter_bank_and_lowers_the_loss():
    torch.manual_seed(0)
    convolution = nn.Conv2d(8, 16, 3, padding=1, bias=False)
    target, images = torch.randn(4, 16, 6, 6), torch.randn(4, 8, 6, 6)
    optimizer = Muon(convolution.parameters(), lr=0.05)
    losses = []
    for _ in range(20):
        loss = (nn.functional.normalize(convolution(images), dim=1) - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert convolution.weight.norm().item() == pytest.approx(16**0.5, rel=0.1)


def test_what_no_group_names_is_not_trained():
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    optimizers = make_optimizers(model, replace(RECIPE, groups=(Group("head.*", "adamw", 1e-3),)))
    assert [len(group["params"]) for o in optimizers for group in o.param_groups] == [2]
    assert not any(p.requires_grad for p in model["backbone"].parameters())


def test_the_first_group_that_matches_takes_a_parameter():
    model = nn.ModuleDict({"body": nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    groups = (Group("head.*", "sgd", 0.5), Group("*", "sgd", 0.1))
    rates = {
        o.param_groups[0]["lr"]: len(o.param_groups[0]["params"])
        for o in make_optimizers(model, replace(RECIPE, groups=groups))
    }
    assert rates == {0.5: 2, 0.1: 2}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_decay_starts_at_one_and_ends_at_zero(schedule):
    recipe = replace(RECIPE, schedule=schedule)
    factors = [rate_factor(recipe, step, 10) for step in range(11)]
    assert factors[0] == 1
    assert factors[-1] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)


def test_a_warm_up_rises_to_one_and_wastes_no_step():
    recipe = replace(RECIPE, schedule="cosine", warmup=0.25)
    assert [rate_factor(recipe, step, 16) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert rate_factor(recipe, 0, 1) == 1


def test_a_plateau_lowers_the_rate_only_when_the_loss_stays():
    recipe = replace(RECIPE, schedule="plateau")
    optimizers = make_optimizers(nn.Linear(2, 2), recipe)
    schedule = Schedule(optimizers, recipe, steps=100)
    rates = []
    for loss in (3, 2, 1, 1, 1, 1, 1):
        schedule.step()
        schedule.after_validation(loss)
        rates.append(optimizers[0].param_groups[0]["lr"])
    assert rates[:5] == [1] * 5
    assert rates[5] == pytest.approx(0.2)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_shipped_recipe_names_optimizers_views_and_a_schedule_that_exist(name):
    from headstart.training.batches import VIEWS
    from headstart.training.optimizers import DECAYS, OPTIMIZERS

    recipe = STRATEGIES[name].recipe
    assert {group.optimizer for group in recipe.groups} <= OPTIMIZERS.keys()
    assert recipe.schedule in {*DECAYS, "plateau"}
    assert {*recipe.views, *recipe.test_views} <= VIEWS.keys()


def test_an_end_that_is_moved_leads_the_rate_from_where_it_is_to_nothing():
    weight = nn.Parameter(torch.ones(1))
    schedule = Schedule([torch.optim.SGD([weight], lr=1.0)], replace(RECIPE, schedule="linear"), steps=10)
    (optimizer,) = schedule.optimizers
    rates = []
    while schedule.done < schedule.end:
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
        if schedule.done == 4:
            schedule.end_at(7)
    assert rates == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_an_end_in_the_past_leaves_one_step():
    schedule = Schedule([torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)], RECIPE, steps=10)
    for _ in range(5):
        schedule.step()
    schedule.end_at(2)
    assert schedule.end == 6
