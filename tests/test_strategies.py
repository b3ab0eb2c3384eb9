from __future__ import annotations

import pytest

from headstart.errors import HeadstartError
from headstart.strategies import (
    DEFAULT,
    LEAST_STEPS,
    STRATEGIES,
    named,
    with_class_weights,
    with_enough_steps,
    with_epochs,
)


def test_the_default_rows_are_the_four_that_the_project_compares():
    assert DEFAULT == ("base-cnn", "deep-cnn", "frozen", "last20")


def test_strategies_come_in_the_tables_order():
    assert [strategy.name for strategy in named(["last20", "base-cnn"])] == ["base-cnn", "last20"]


@pytest.mark.parametrize("names", [["last21"], []])
def test_a_name_that_is_none_is_refused_with_those_that_are(names):
    with pytest.raises(HeadstartError, match="choose from base-cnn, deep-cnn, frozen, last20"):
        named(names)


@pytest.mark.parametrize("name", STRATEGIES)
def test_few_images_are_trained_on_until_there_were_enough_steps(name):
    strategy = STRATEGIES[name]
    steps_an_epoch = max(1, 1000 // strategy.recipe.batch_size)
    raised = with_enough_steps(strategy, 1000).recipe
    assert raised.epochs >= strategy.recipe.epochs
    assert raised.epochs * steps_an_epoch >= LEAST_STEPS
    assert strategy.recipe.epochs <= raised.epochs / raised.look_every < 2 * strategy.recipe.epochs
    assert (raised.epochs - 1) * steps_an_epoch < max(LEAST_STEPS, strategy.recipe.epochs * steps_an_epoch)


@pytest.mark.parametrize("images", [100, 1000, 3000, 4000])
def test_patience_is_as_large_a_share_of_training_as_before(images):
    base = STRATEGIES["base-cnn"]
    raised = with_enough_steps(base, images).recipe
    assert raised.patience * raised.look_every / raised.epochs >= base.recipe.patience / base.recipe.epochs


def test_fewer_epochs_keep_the_number_of_looks():
    raised = with_enough_steps(STRATEGIES["base-cnn"], 100)
    assert (raised.recipe.epochs, raised.recipe.look_every) == (100, 20)
    assert with_epochs(raised, 50).recipe.look_every == 10
    assert with_epochs(raised, 3).recipe.look_every == 1
    assert with_epochs(raised, 1000).recipe.look_every == 20


@pytest.mark.parametrize("name", DEFAULT)
def test_many_images_leave_a_recipe_as_it_was_measured(name):
    assert with_enough_steps(STRATEGIES[name], 45_000) == STRATEGIES[name]


def test_options_change_what_they_name_and_nothing_else():
    frozen = STRATEGIES["frozen"]
    assert with_epochs(frozen, None) == frozen
    assert with_epochs(frozen, 3).recipe.epochs == 3
    assert with_class_weights(frozen, "balanced").recipe.class_weights == "balanced"
    with pytest.raises(HeadstartError, match="class weights are none or balanced, not 'equal'"):
        with_class_weights(frozen, "equal")
