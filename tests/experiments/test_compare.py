"""The whole way, from labelled images to a run folder, with real weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.special import softmax

import headstart as hs
from headstart.cli import main
from headstart.data.dataset import Split
from headstart.models.backbones import load_backbone
from headstart.results import runs
from headstart.results.comparison import ROW
from headstart.runtime.cache import cache_dir
from headstart.strategies import DEFAULT

LITE0 = "tf_efficientnet_lite0.in1k"
OPTIONS = ["--backbone", LITE0, "--image-size", "64", "--offline", "--device", "cpu"]
FIGURES = [
    "accuracy_vs_time.png",
    "class_balance.png",
    "class_scores.png",
    "confusion_base-cnn.png",
    "confusion_deep-cnn.png",
    "confusion_frozen.png",
    "confusion_last20.png",
    "curves.png",
    "metrics.png",
    "reliability.png",
    "samples.png",
    "unfreezing.png",
]
RUN = ["config.json", "environment.json", "history.csv", "metrics.json", "model.safetensors", "predictions.npz"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny):
    """`headstart compare`, as a user calls it, on a tiny data set: its folder and what it printed."""
    root = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("headstart.data.load.load", lambda *args, **options: tiny)
        main(["compare", *OPTIONS, "--epochs", "2"])
    return root / "runs" / "tiny-1"


def test_the_run_folder_has_exactly_its_files(compared):
    found = sorted(str(path.relative_to(compared)) for path in compared.rglob("*") if path.is_file())
    wanted = [
        "SHA256SUMS",
        "audit.json",
        "comparison.csv",
        "comparison.json",
        "examples.npz",
        "report.html",
        *(f"figures/{name}" for name in FIGURES),
    ]
    wanted += [f"{strategy}/seed0/{name}" for strategy in DEFAULT for name in RUN]
    assert found == sorted(wanted)


def test_every_row_keeps_the_contract_and_is_a_number(compared):
    saved = json.loads((compared / "comparison.json").read_text())
    assert [row["strategy"] for row in saved["strategies"]] == ["base-cnn", "deep-cnn", "frozen", "last20"]
    for row in saved["strategies"]:
        assert list(row) == list(ROW)
        assert all(np.isfinite(value) for key, value in row.items() if key != "strategy")
    assert saved["recommended"] in hs.STRATEGIES
    assert saved["dataset"].keys() == {"name", "fingerprint", "source", "class_names", "train", "val", "test"}
    assert saved["backbone"].keys() == {"name", "weights", "why"}
    assert saved["backbone"]["name"] == LITE0


def test_frozen_trains_a_head_only_and_last20_says_which_blocks(compared):
    rows = {row["strategy"]: row for row in json.loads((compared / "comparison.json").read_text())["strategies"]}
    assert (
        rows["frozen"]["trainable_parameters"] < rows["last20"]["trainable_parameters"] < rows["last20"]["parameters"]
    )
    assert rows["base-cnn"]["frozen_seconds"] == 0 < rows["frozen"]["frozen_seconds"]
    retrained = runs.Run(compared / "last20" / "seed0").config["retrained"]
    assert retrained == ["blocks_5_2 (6c)", "blocks_5_3 (6d)", "blocks_6_0 (7a)", "conv_head (top conv)", "bn2"]
    page = (compared / "report.html").read_text(encoding="utf-8")
    assert "blocks_5_2 (6c)" in page
    assert f"headstart compare --backbone {LITE0} --image-size 64" in page


@pytest.mark.parametrize("strategy", DEFAULT)
def test_a_saved_classifier_predicts_what_was_evaluated(compared, strategy, tiny):
    run = runs.Run(compared / strategy / "seed0")
    logits, labels, names = run.predictions()
    classifier = hs.Classifier.load(run.folder)
    probabilities = classifier.predict_proba(tiny.test.images)
    assert classifier.temperature == pytest.approx(run.metrics["temperature"], rel=1e-9)
    expected = softmax(logits, axis=1)
    uncalibrated = softmax(classifier.temperature * np.log(probabilities.astype(np.float64)), axis=1)
    assert probabilities.shape == (30, 3)
    np.testing.assert_allclose(uncalibrated, expected, atol=0.05)  # evaluated in bf16 on 16-bit activations
    clear = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 0.1
    assert (classifier.predict(tiny.test.images)[clear] == np.array(names)[logits.argmax(axis=1)][clear]).all()
    assert (labels == tiny.test.labels).all()


@pytest.fixture
def another_cache(tmp_path, monkeypatch):
    """A cache that holds this machine's measurements, and nothing that was computed."""
    shutil.copytree(cache_dir() / "probes", tmp_path / "cache" / "probes")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("another_cache")
def test_two_runs_with_one_seed_agree_bit_for_bit(compared, tiny, tmp_path):
    options = {"backbone": LITE0, "image_size": 64, "epochs": 2, "offline": True, "device": "cpu"}
    again = hs.compare(tiny, output=tmp_path / "again", **options)
    for run in again.runs:
        first = compared / run.folder.relative_to(again.folder)
        for name in ("model.safetensors", "predictions.npz"):
            assert (run.folder / name).read_bytes() == (first / name).read_bytes(), f"{run.folder.parent.name} {name}"


def test_the_labels_of_test_change_no_trained_weight(compared, tiny, tmp_path):
    permuted = np.random.default_rng(0).permutation(tiny.test.labels)
    assert (permuted != tiny.test.labels).mean() > 0.5
    other = replace(tiny, test=Split(tiny.test.images, permuted))
    options = {"backbone": LITE0, "image_size": 64, "epochs": 2, "offline": True, "device": "cpu"}
    result = hs.compare(other, output=tmp_path / "permuted", **options)
    assert [row["strategy"] for row in result.strategies] == ["base-cnn", "deep-cnn", "frozen", "last20"]
    for run in result.runs:
        first = runs.Run(compared / run.folder.relative_to(result.folder))
        assert run.model.read_bytes() == first.model.read_bytes(), run.strategy
        assert (run.predictions()[1] == permuted).all()


@pytest.mark.parametrize("strategy", ["frozen", "last20"])
def test_the_frozen_part_is_saved_as_it_came_batchnorm_statistics_too(compared, strategy):
    saved = load_file(compared / strategy / "seed0" / "model.safetensors")
    original = load_backbone(LITE0, 64, offline=True).chain.state_dict()
    frozen = {name.removeprefix("frozen."): value for name, value in saved.items() if name.startswith("frozen.")}
    assert sum("running_mean" in name for name in frozen) > 30
    assert all(torch.equal(value, original[name]) for name, value in frozen.items())
    assert frozen.keys() == original.keys() if strategy == "frozen" else frozen.keys() < original.keys()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_all_strategies_run_on_cuda_from_a_cold_and_from_a_warm_cache(tiny, tmp_path):
    for turn in ("cold", "warm"):
        options = {"backbone": LITE0, "image_size": 64, "epochs": 1, "offline": True, "device": "cuda"}
        result = hs.compare(tiny, output=tmp_path / turn, **options)
        assert result.best.predict(tiny.test.images).shape == (30,)


def test_the_python_interface_compares_and_predicts(tiny, tmp_path):
    result = hs.compare(tiny, strategies=["base-cnn"], epochs=8, seed=[0, 1], device="cpu", output=tmp_path / "out")
    table = result.table()
    assert list(table.index) == ["base-cnn"]
    assert table.loc["base-cnn", "seeds"] == 2
    assert table.loc["base-cnn", "accuracy"] > 0.9
    assert result.backbone is None
    predicted = result.best.predict(tiny.test.images[:6])
    assert set(predicted) <= set(tiny.class_names)
    assert result.best.predict(tiny.test.images[0]).shape == (1,)


@pytest.mark.parametrize("wrong", [np.zeros((2, 32, 32, 3)), np.zeros((2, 3, 32, 32), np.uint8)])
def test_predict_refuses_what_it_cannot_read(compared, wrong):
    with pytest.raises(hs.HeadstartError, match="predict takes uint8 images"):
        hs.Classifier.load(compared / "base-cnn" / "seed0").predict(wrong)


def test_show_draws_one_picture(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("headstart.data.load.load", lambda *args, **options: tiny)
    main(["show", "--output", str(tmp_path / "tiny.png")])
    with Image.open(tmp_path / "tiny.png") as picture:
        assert picture.width > 500
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "tiny.png"
