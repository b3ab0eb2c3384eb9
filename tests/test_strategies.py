from __future__ import annotations

import pytest

from headstart.strategies import (
    DEFAULT,
    LEAST_STEPS,
    STRATEGIES,
    Weights,
    candidates_of,
    with_class_weights,
    with_enough_steps,
    with_epochs,
)


def test_the_default_rows_are_the_four_that_the_project_compares():
    assert DEFAULT == ("base-cnn", "deep-cnn", "frozen", "last20")


def test_a_candidate_is_a_strategy_with_the_weights_that_it_needs():
    weights = Weights("net", 64, "sha", "a file", "asked for")
    rows = candidates_of(list(STRATEGIES.values()), weights)
    assert [row.name for row in rows] == list(STRATEGIES)
    assert all((row.weights is weights) == (row.strategy.network == "backbone") for row in rows)


def test_no_two_strategies_look_the_same():
    looks = [(strategy.colour, strategy.marker) for strategy in STRATEGIES.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("name", STRATEGIES)
def test_few_images_are_trained_on_until_there_were_enough_steps(name):
    strategy = STRATEGIES[name]
    steps_an_epoch = max(1, 1000 // strategy.recipe.batch_size)
    raised = with_enough_steps(strategy, 1000).recipe
    assert raised.epochs >= strategy.recipe.epochs
    assert raised.epochs * steps_an_epoch >= LEAST_STEPS
    assert strategy.recipe.epochs <= raised.epochs / raised.validate_every < 2 * strategy.recipe.epochs
    assert (raised.epochs - 1) * steps_an_epoch < max(LEAST_STEPS, strategy.recipe.epochs * steps_an_epoch)


@pytest.mark.parametrize("images", [100, 1000, 3000, 4000])
def test_patience_is_as_large_a_share_of_training_as_before(images):
    base = STRATEGIES["base-cnn"]
    raised = with_enough_steps(base, images).recipe
    assert raised.patience * raised.validate_every / raised.epochs >= base.recipe.patience / base.recipe.epochs


def test_fewer_epochs_keep_the_number_of_looks():
    raised = with_enough_steps(STRATEGIES["base-cnn"], 100)
    assert (raised.recipe.epochs, raised.recipe.validate_every) == (100, 20)
    assert with_epochs(raised, 50).recipe.validate_every == 10
    assert with_epochs(raised, 3).recipe.validate_every == 1
    assert with_epochs(raised, 1000).recipe.validate_every == 20


@pytest.mark.parametrize("name", DEFAULT)
def test_many_images_leave_a_recipe_as_it_was_measured(name):
    assert with_enough_steps(STRATEGIES[name], 45_000) == STRATEGIES[name]


def test_options_change_what_they_name_and_nothing_else():
    frozen = STRATEGIES["frozen"]
    assert with_epochs(frozen, None) == frozen
    assert with_epochs(frozen, 3).recipe.epochs == 3
    assert with_class_weights(frozen, "balanced").recipe.class_weights == "balanced"
