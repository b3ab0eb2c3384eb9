"""How much of a backbone is retrained: nothing, parts, all of it, and all of it from random weights."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from scipy.special import softmax

import headstart as hs
from headstart.cli import main
from headstart.evaluation.calibration import calibration_error, fit_temperature
from headstart.models.backbones import load_backbone
from headstart.plan import Plan
from headstart.results import runs
from headstart.runtime.device import make_fabric
from headstart.training.fit import predict
from headstart.training.preparation import Pretrained

LITE0 = "tf_efficientnet_lite0.in1k"
STRATEGIES = ("frozen", "last20", "last50", "full", "random-init")
RETRAINED = STRATEGIES[1:4]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny):
    """Every way to use a backbone, as a user asks for them: strategy -> its run."""
    folder = tmp_path_factory.mktemp("work") / "unfreezing"
    options = ["--backbone", LITE0, "--image-size", "64", "--offline", "--device", "cpu", "--epochs", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstart.experiments.compare.load", lambda *args, **options: tiny)
        main(["compare", *options, "--strategies", *STRATEGIES, "--output", str(folder)])
    return {run.strategy: run for run in runs.find_runs(folder)}


def test_ever_more_is_trained_and_the_config_says_what(compared):
    trained = [compared[name].metrics["trainable_parameters"] for name in STRATEGIES[1:4]]
    assert trained == sorted(set(trained))
    assert compared["full"].metrics["parameters"] == compared["full"].metrics["trainable_parameters"]
    pieces = [len(compared[name].config["retrained"]) for name in STRATEGIES]
    assert pieces[0] == 0 < pieces[1] < pieces[2] < pieces[3] > pieces[4] == 0
    assert compared["full"].config["retrained"][0] == "conv_stem"
    assert compared["full"].config["backbone"]["name"] == LITE0
    assert compared["full"].metrics["frozen_seconds"] == 0 < compared["last50"].metrics["frozen_seconds"]


def test_random_init_is_the_same_architecture_and_owes_nothing_to_pre_training(compared):
    config = compared["random-init"].config
    assert config["backbone"] is None
    assert config["network"]["name"] == LITE0
    saved, full = (load_file(compared[name].model) for name in ("random-init", "full"))
    assert saved["trainable.backbone.0.conv_stem.weight"].shape == full["trainable.backbone.0.conv_stem.weight"].shape
    assert any("running_mean" in name for name in saved) and not any("running_mean" in name for name in full)
    original = load_backbone(LITE0, 64, offline=True).chain.get_submodule("blocks_5_0").conv_pw.weight.flatten()
    learned = saved["trainable.backbone.0.blocks_5_0.conv_pw.weight"].flatten()
    assert abs(torch.corrcoef(torch.stack([learned, original]))[0, 1]) < 0.05


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_saved_network_gives_what_was_scored(compared, strategy, tiny):
    run = compared[strategy]
    loaded = hs.Classifier.load(run.folder)
    squares = np.stack([loaded.square(image) for image in tiny.test.images])
    said, scored = loaded.logits(squares).numpy(), run.predictions()[0]
    assert np.array_equal(said.argmax(axis=1), scored.argmax(axis=1))
    np.testing.assert_allclose(said, scored, rtol=1e-3, atol=1e-3)  # another engine may have run the frozen part


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_training_measured_is_nearly_what_the_saved_network_gives_in_full_precision(compared, strategy, tiny):
    fabric, run = make_fabric("cpu"), compared[strategy]
    shares = {hs.STRATEGIES[name].frozen_share for name in STRATEGIES} - {None}
    pretrained = Pretrained(load_backbone(LITE0, 64, offline=True), sorted(shares), tiny.image_shape, fabric.device)
    samples, _ = pretrained.prepare(hs.STRATEGIES[strategy], tiny).samples(tiny.test, ("identity",))
    network = hs.Classifier.load(run.folder).network
    measured = predict(network.trainable, samples, fabric).numpy()  # in bf16 maybe, on 16-bit activations
    either = [softmax(logits / run.metrics["temperature"], axis=1) for logits in (measured, run.predictions()[0])]
    assert np.abs(either[0] - either[1]).mean() < 0.03


def test_a_frozen_backbone_has_forgotten_nothing_at_all(compared):
    forgetting = compared["frozen"].metrics["forgetting"]
    assert forgetting["images"] == 30
    assert forgetting["agreement"] == 1.0
    assert forgetting["divergence"] == 0.0
    assert forgetting["weight_distance"] == 0.0
    assert forgetting["cka"] == {"features": 1.0}
    assert set(forgetting["by_piece"].values()) == {0.0}
    assert len(forgetting["by_piece"]) == 18  # conv_stem, 16 blocks, conv_head


@pytest.mark.parametrize("strategy", RETRAINED)
def test_a_retrained_backbone_drifts_where_it_was_retrained_and_nowhere_else(compared, strategy):
    run = compared[strategy]
    forgetting = run.metrics["forgetting"]
    retrained = [name.split(" ")[0] for name in run.config["retrained"] if not name.startswith("bn")]
    assert 0 < forgetting["weight_distance"] < 1
    assert forgetting["divergence"] > 0
    assert list(forgetting["cka"]) == [*retrained, "features"]
    assert all(0 < value <= 1 for value in forgetting["cka"].values())
    assert forgetting["cka"]["features"] < 1
    assert [name for name, distance in forgetting["by_piece"].items() if distance] == retrained


def test_what_was_not_pre_trained_cannot_forget(compared):
    assert compared["random-init"].metrics["forgetting"] is None


@pytest.mark.parametrize("strategy", RETRAINED)
def test_mixtures_go_from_what_was_pre_trained_to_what_was_retrained(compared, strategy):
    run = compared[strategy]
    rows, kept = run.metrics["mixtures"]["rows"], run.metrics["mixtures"]["kept"]
    val_logits, val_labels, _ = run.predictions("val")
    assert (rows[0]["agreement"], rows[0]["cka"], kept) == (1, 1, 1)
    assert rows[-1]["agreement"] == run.metrics["forgetting"]["agreement"]
    assert rows[-1]["accuracy"] == pytest.approx((val_logits.argmax(axis=1) == val_labels).mean())
    assert [compared[name].metrics["mixtures"] for name in ("frozen", "random-init")] == [None, None]


def test_the_best_mixture_is_kept_where_that_is_asked_for(tiny, tmp_path):
    options = {"backbone": LITE0, "image_size": 64, "offline": True, "device": "cpu", "epochs": 3}
    (run,) = hs.compare(tiny, ["last20"], wise=True, output=tmp_path / "out", **options).runs
    found = run.metrics["mixtures"]
    assert found["kept"] == found["best"]
    row = next(row for row in found["rows"] if row["share"] == found["kept"])
    assert run.metrics["forgetting"]["agreement"] == row["agreement"]
    logits, labels, _ = run.predictions("val")
    assert row["accuracy"] == pytest.approx((logits.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_temperature_is_fitted_on_val_kept_and_used(compared, strategy):
    run, metrics = compared[strategy], compared[strategy].metrics
    val_logits, val_labels, _ = run.predictions("val")
    logits, labels, _ = run.predictions()
    assert metrics["temperature"] == pytest.approx(fit_temperature(val_logits, val_labels))
    assert hs.Classifier.load(run.folder).temperature == pytest.approx(metrics["temperature"])
    probabilities = softmax(logits.astype(np.float64) / metrics["temperature"], axis=1)
    assert metrics["calibration_error"] == pytest.approx(calibration_error(probabilities, labels))
    assert metrics["log_loss"] == pytest.approx(-np.log(probabilities[np.arange(len(labels)), labels]).mean())
    assert metrics["calibration_error_raw"] == pytest.approx(calibration_error(softmax(logits, axis=1), labels))
    assert metrics["accuracy"] == pytest.approx((logits.argmax(axis=1) == labels).mean())


def test_a_limit_plans_what_freezes_nothing_too(tiny, tmp_path):
    strategies = ["full", "random-init"]
    options = {"backbone": LITE0, "image_size": 64, "offline": True, "device": "cpu"}
    result = hs.compare(tiny, strategies, time_limit=60, output=tmp_path / "out", **options)
    plans = {run.strategy: Plan.of(run.config["plan"]) for run in result.runs}
    assert list(plans) == ["full", "random-init"]
    for run in result.runs:
        assert 0 < plans[run.strategy].last_epochs <= run.metrics["epochs"] + 0.5
        assert plans[run.strategy].image_size is None  # it was asked for


def test_what_freezes_nothing_keeps_no_activations_and_a_backbone_without_a_classifier_forgets_nothing_known(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    name, weights = "mobilenetv3_small_050.lamb_in1k", tmp_path / "headless.safetensors"
    save_file(timm.create_model(name, num_classes=0).state_dict(), weights)
    options = {"backbone": name, "image_size": 64, "epochs": 1, "offline": True, "device": "cpu"}
    result = hs.compare(tiny, ["full"], weights=weights, output=tmp_path / "out", **options)
    assert result.runs[0].metrics["forgetting"] is None
    assert result.runs[0].metrics["frozen_seconds"] == 0
    assert not (tmp_path / "cache" / "activations").exists()
