from __future__ import annotations

import pytest

from headstart.strategies import (
    DEFAULT,
    LEAST_STEPS,
    SMALLEST_BATCH,
    STRATEGIES,
    Weights,
    candidates_of,
    with_enough_steps,
    with_epochs,
    with_recipe,
)


def test_the_default_rows_are_the_four_that_the_project_compares():
    assert DEFAULT == ("base-cnn", "deep-cnn", "frozen", "last20")


def test_a_candidate_is_a_strategy_with_the_weights_that_it_needs():
    weights = Weights("net", 64, "sha", "a file", "asked for")
    rows = candidates_of(list(STRATEGIES.values()), [weights])
    assert [row.name for row in rows] == list(STRATEGIES)
    assert all((row.weights is weights) == (row.strategy.network == "backbone") for row in rows)


def test_no_two_strategies_look_the_same():
    looks = [(strategy.colour, strategy.marker) for strategy in STRATEGIES.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("name", STRATEGIES)
def test_few_images_are_trained_on_until_there_were_enough_steps(name):
    strategy = STRATEGIES[name]
    raised = with_enough_steps(strategy, 1000).recipe
    steps_an_epoch = 1000 // raised.batch_size
    assert SMALLEST_BATCH / 2 < raised.batch_size <= strategy.recipe.batch_size
    assert raised.epochs >= strategy.recipe.epochs
    assert raised.epochs * steps_an_epoch >= LEAST_STEPS
    assert strategy.recipe.epochs <= raised.epochs / raised.validate_every < 2 * strategy.recipe.epochs
    assert (raised.epochs - 1) * steps_an_epoch < max(LEAST_STEPS, strategy.recipe.epochs * steps_an_epoch)


def test_batches_become_smaller_before_epochs_become_more():
    deep = STRATEGIES["deep-cnn"].recipe
    sizes = {images: with_enough_steps(STRATEGIES["deep-cnn"], images).recipe for images in (200, 900, 3000, 5000)}
    assert {images: each.batch_size for images, each in sizes.items()} == {200: 62, 900: 62, 3000: 250, 5000: 500}
    assert sizes[200].epochs > sizes[900].epochs == sizes[3000].epochs == deep.epochs


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
    assert with_recipe(frozen, class_weights="balanced").recipe.class_weights == "balanced"
