from __future__ import annotations

import math

import numpy as np
import pytest

from headstart.evaluation.forgetting import function_drift, linear_cka, weight_drift


def network(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "conv_stem.weight": rng.standard_normal((4, 3)).astype(np.float32),
        "blocks_6_0.conv.weight": rng.standard_normal((5, 4)).astype(np.float32),
        "blocks_6_0.bn.bias": np.zeros(5, np.float32),
        "blocks_6_0.bn.num_batches_tracked": np.array(7),
    }


def test_a_network_that_was_left_alone_shows_no_drift_at_all():
    rng = np.random.default_rng(1)
    logits, features = rng.standard_normal((50, 10)).astype(np.float32), rng.standard_normal((50, 30))
    drift = function_drift(logits, logits.copy())
    assert (drift.agreement, drift.divergence) == (1, 0)
    weights = weight_drift(network(), network())
    assert weights.distance == 0
    assert set(weights.by_group.values()) == {0}
    assert linear_cka(features, features.copy()) == 1


def test_function_drift_by_hand():
    before = np.log([[0.5, 0.5], [0.9, 0.1]])
    after = np.log([[0.25, 0.75], [0.9, 0.1]])
    drift = function_drift(before, after)
    assert drift.agreement == 0.5
    assert drift.divergence == pytest.approx((0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2)


def test_the_divergence_of_logits_far_apart_is_finite_and_a_common_shift_is_none():
    logits = np.array([[500.0, -500.0], [0.0, 1.0]])
    assert function_drift(logits, -logits).divergence == pytest.approx((1000 + math.tanh(0.5)) / 2)
    assert function_drift(logits, logits + 1e-3).divergence == pytest.approx(0, abs=1e-9)
    assert function_drift(logits, logits + 1e-3).divergence >= 0


def test_weight_drift_by_hand():
    before = {"blocks_0.w": np.array([3.0, 4.0]), "blocks_1.w": np.array([0.0, 12.0])}
    after = {"blocks_0.w": np.array([3.0, 4.0]), "blocks_1.w": np.array([5.0, 12.0])}
    drift = weight_drift(before, after)
    assert drift.distance == pytest.approx(5 / 13)  # of a vector of length 13
    assert drift.by_group == pytest.approx({"blocks_0": 0, "blocks_1": 5 / 12})


def test_only_weights_that_both_networks_have_are_compared():
    before = network() | {"classifier.weight": np.ones((1000, 5))}
    after = network() | {"classifier.weight": np.ones((10, 5)), "blocks_6_0.bn.num_batches_tracked": np.array(9000)}
    drift = weight_drift(before, after)
    assert drift.distance == 0
    assert set(drift.by_group) == {"conv_stem", "blocks_6_0"}


def test_weights_that_were_zero_and_moved_are_infinitely_far_from_where_they_were():
    assert weight_drift({"bias": np.zeros(3)}, {"bias": np.ones(3)}).distance == math.inf
    assert weight_drift({}, {}).distance == 0


def test_linear_cka_of_single_features_is_their_squared_correlation():
    # Anscombe 1973, "Graphs in Statistical Analysis", data set 1: R squared 0.667
    x = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5.0])
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    assert linear_cka(x[:, None], y[:, None]) == pytest.approx(0.667, abs=5e-4)


def test_linear_cka_by_hand():
    plane = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # products 2 and 2 on the diagonal
    line = plane[:, :1]  # product 2; with the plane 2 and 0
    assert linear_cka(plane, line) == pytest.approx(2**2 / math.sqrt((2**2 + 2**2) * 2**2))


def test_linear_cka_agrees_with_its_definition_by_kernels():
    # Kornblith et al. 2019, section 3: HSIC of centred N x N kernels
    rng = np.random.default_rng(2)
    x = rng.standard_normal((40, 6))
    y = x @ rng.standard_normal((6, 9)) + rng.standard_normal((40, 9))
    center = np.eye(40) - 1 / 40
    k, m = (center @ each @ each.T @ center for each in (x, y))
    assert linear_cka(x, y) == pytest.approx(np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m)))
    assert 0.1 < linear_cka(x, y) < 0.95
    assert linear_cka(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(linear_cka(x, y), abs=1e-6)


def test_rotating_scaling_or_shifting_features_leaves_linear_cka_at_one():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((200, 8)).astype(np.float32)
    rotation = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    assert linear_cka(x, x @ rotation) == pytest.approx(1)
    assert linear_cka(x, 1e-30 * x.astype(np.float64)) == pytest.approx(1)
    assert linear_cka(x, x.astype(np.float64) + 1e6) == pytest.approx(1)
    assert linear_cka(x, x @ rotation) <= 1


def test_unrelated_features_share_little_and_features_that_do_not_vary_nothing_at_all():
    rng = np.random.default_rng(4)
    assert linear_cka(rng.standard_normal((2000, 5)), rng.standard_normal((2000, 5))) < 0.02
    assert math.isnan(linear_cka(rng.standard_normal((20, 5)), np.full((20, 5), 0.1)))
