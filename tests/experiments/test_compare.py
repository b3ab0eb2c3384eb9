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
from headstart.evaluation.scores import SCORES
from headstart.experiments import trial as trials
from headstart.models.backbones import load_backbone
from headstart.results import runs
from headstart.results.comparison import KEYS
from headstart.results.files import read_json, write_json
from headstart.results.verification import verify
from headstart.results.writing import writing
from headstart.runtime.cache import cache_dir
from headstart.strategies import DEFAULT

LITE0 = "tf_efficientnet_lite0.in1k"
OPTIONS = ["--backbone", LITE0, "--image-size", "64", "--offline", "--device", "cpu"]
FIGURES = [
    "accuracy_vs_time.png",
    "class_balance.png",
    "class_scores.png",
    *(f"confusion_{name}.png" for name in DEFAULT),
    "curves.png",
    "metrics.png",
    "mixtures.png",
    "reliability.png",
    "samples.png",
    "unfreezing.png",
]
RUN = [
    "config.json",
    "environment.json",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "novelty.safetensors",
    "predictions.npz",
]


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny):
    """`headstart compare`, as a user calls it, on a tiny data set: its folder and what it printed."""
    root = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("headstart.experiments.compare.load", lambda *args, **options: tiny)
        main(["compare", *OPTIONS, "--epochs", "2"])
    return root / "runs" / "tiny-1"


def test_the_run_folder_has_exactly_its_files(compared):
    found = sorted(str(path.relative_to(compared)) for path in compared.rglob("*") if path.is_file())
    wanted = [
        "MODEL_CARD.md",
        "SHA256SUMS",
        "request.json",
        "audit.json",
        "trivial.npz",
        "comparison.csv",
        "comparison.json",
        "examples.npz",
        "report.html",
        *(f"figures/{name}" for name in FIGURES),
    ]
    wanted += [f"{strategy}/holdout-seed0/{name}" for strategy in DEFAULT for name in RUN]
    assert found == sorted(wanted)


def test_every_row_keeps_the_contract_and_is_a_number(compared):
    saved = json.loads((compared / "comparison.json").read_text())
    assert [row["strategy"] for row in saved["strategies"]] == list(DEFAULT)
    for row in saved["strategies"]:
        assert list(row) == [*KEYS, *SCORES]
        assert all(np.isfinite(row[key]) for key in SCORES if key != "top5")  # which three classes have not
    assert saved["recommended"] in hs.STRATEGIES
    assert saved["dataset"].keys() == {"name", "fingerprint", "source", "class_names", "train", "val", "test", "tested"}
    assert saved["backbone"].keys() == {"name", "weights", "why"}
    assert saved["backbone"]["name"] == LITE0


def test_frozen_trains_a_head_only_and_last20_says_which_blocks(compared):
    rows = {row["strategy"]: row for row in json.loads((compared / "comparison.json").read_text())["strategies"]}
    assert (
        rows["frozen"]["trainable_parameters"] < rows["last20"]["trainable_parameters"] < rows["last20"]["parameters"]
    )
    assert rows["base-cnn"]["frozen_seconds"] == 0 < rows["frozen"]["frozen_seconds"]
    retrained = runs.Run(compared / "last20" / "holdout-seed0").config["retrained"]
    assert retrained == ["blocks_5_2 (6c)", "blocks_5_3 (6d)", "blocks_6_0 (7a)", "conv_head (top conv)", "bn2"]
    page = (compared / "report.html").read_text(encoding="utf-8")
    assert "blocks_5_2 (6c)" in page
    assert f"headstart compare --backbone {LITE0} --image-size 64" in page


@pytest.mark.parametrize("strategy", DEFAULT)
def test_a_saved_classifier_predicts_what_was_evaluated(compared, strategy, tiny):
    run = runs.Run(compared / strategy / "holdout-seed0")
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
    labels = tiny.labels.copy()
    labels[tiny.test.rows] = permuted
    other = replace(tiny, labels=labels)
    options = {"backbone": LITE0, "image_size": 64, "epochs": 2, "offline": True, "device": "cpu"}
    result = hs.compare(other, output=tmp_path / "permuted", **options)
    assert [row["strategy"] for row in result.rows] == list(DEFAULT)
    for run in result.runs:
        first = runs.Run(compared / run.folder.relative_to(result.folder))
        assert run.model.read_bytes() == first.model.read_bytes(), run.strategy
        assert (run.predictions()[1] == permuted).all()


@pytest.mark.parametrize("strategy", ["frozen", "last20"])
def test_the_frozen_part_is_saved_as_it_came_batchnorm_statistics_too(compared, strategy):
    saved = load_file(compared / strategy / "holdout-seed0" / "model.safetensors")
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
    assert table.loc["base-cnn", "runs"] == 2
    assert table.loc["base-cnn", "accuracy"] > 0.9
    assert result.backbone is None
    predicted = result.best.predict(tiny.test.images[:6])
    assert set(predicted) <= set(tiny.class_names)
    assert result.best.predict(tiny.test.images[0]).shape == (1,)


@pytest.mark.parametrize("wrong", [np.full((2, 32, 32, 3), 7.5), np.zeros((2, 3, 32, 32), np.uint8)])
def test_predict_refuses_what_it_cannot_read(compared, wrong):
    with pytest.raises(hs.HeadstartError, match=r"an image is|pixels are"):
        hs.Classifier.load(compared / "base-cnn" / "holdout-seed0").predict(wrong)


def test_show_draws_one_picture(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("headstart.data.load.load", lambda *args, **options: tiny)
    main(["show", "--output", str(tmp_path / "tiny.png")])
    with Image.open(tmp_path / "tiny.png") as picture:
        assert picture.width > 500
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "tiny.png"


def test_its_settings_are_left_as_they_were(tiny, tmp_path):
    torch.manual_seed(5)
    expected, threads = torch.rand(2), torch.get_num_threads()
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - that others may use it is the point
    hs.compare(tiny, ["base-cnn"], epochs=1, device="cpu", output=tmp_path / "out")
    assert torch.equal(torch.rand(2), expected)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


OPTIONS_OF_ONE = {"strategies": ["base-cnn"], "seed": [3, 4], "epochs": 2, "device": "cpu"}


@pytest.fixture
def killed_at_the_second(monkeypatch):
    """The second trial of a comparison is interrupted before it has left anything; what was begun, by name."""
    begun = []

    def run_trial(trial, data, watch):
        begun.append(trial.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return trials.run_trial(trial, data, watch)

    monkeypatch.setattr("headstart.experiments.runner.run_trial", run_trial)
    return begun


def test_a_stopped_comparison_is_gone_on_with_bit_for_bit(killed_at_the_second, tiny, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        hs.compare(tiny, output=tmp_path / "stopped", **OPTIONS_OF_ONE)
    first = tmp_path / "stopped" / "base-cnn" / "holdout-seed3" / "model.safetensors"
    written = first.stat().st_mtime_ns
    on = hs.compare(tiny, output=tmp_path / "stopped", **OPTIONS_OF_ONE)
    assert killed_at_the_second == [f"base-cnn/holdout-seed{seed}" for seed in (3, 4, 4)]
    assert first.stat().st_mtime_ns == written
    assert read_json(on.folder / runs.REQUEST)["probes"]
    whole = hs.compare(tiny, output=tmp_path / "whole", **OPTIONS_OF_ONE)
    for run, other in zip(on.runs, whole.runs, strict=True):
        assert run.model.read_bytes() == other.model.read_bytes()
        assert (run.folder / "predictions.npz").read_bytes() == (other.folder / "predictions.npz").read_bytes()


def test_a_report_can_be_looked_at_after_the_first_run_and_loads_itself_anew(killed_at_the_second, tiny, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<meta http-equiv="refresh"' in page
    assert "1 of 2 runs are finished" in page
    hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)
    assert '<meta http-equiv="refresh"' not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"epochs": 3}, "with epochs 2, not 3"),
        ({"seed": [3]}, r"with seed \[3, 4\], not \[3\]"),
        ({"class_weights": "balanced"}, 'with class_weights "none", not "balanced"'),
        ({"train_limit": 30}, "with dataset.train 96, not 30"),
    ],
)
def test_a_comparison_of_other_options_is_not_mixed_into_it(other, said, tiny, tmp_path):
    hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)
    with pytest.raises(hs.HeadstartError, match=said):
        hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE | other)


def test_a_comparison_of_another_recipe_is_not_mixed_into_it(tiny, tmp_path, monkeypatch):
    hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)
    base = hs.STRATEGIES["base-cnn"]
    other = replace(base, recipe=replace(base.recipe, label_smoothing=0.3))
    monkeypatch.setitem(hs.STRATEGIES, "base-cnn", other)
    with pytest.raises(hs.HeadstartError, match=r"base-cnn\.recipe\.label_smoothing 0\.0, not 0\.3"):
        hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)


def test_a_comparison_of_pictures_fitted_otherwise_is_not_mixed_into_it(tiny, tmp_path):
    hs.compare(replace(tiny, fit="crop"), output=tmp_path / "out", **OPTIONS_OF_ONE)
    with pytest.raises(hs.HeadstartError, match=r'dataset\.fit "crop", not "stretch"'):
        hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)


def test_a_request_that_does_not_say_the_fit_was_for_letterboxes(tiny, tmp_path):
    options = OPTIONS_OF_ONE | {"output": tmp_path / "out"}
    first = hs.compare(replace(tiny, fit="letterbox"), **options)
    request = read_json(first.folder / runs.REQUEST)
    del request["dataset"]["fit"]
    write_json(first.folder / runs.REQUEST, request)
    assert hs.compare(replace(tiny, fit="letterbox"), **options).rows == first.rows
    with pytest.raises(hs.HeadstartError, match=r'dataset\.fit "letterbox", not "stretch"'):
        hs.compare(tiny, **options)


def test_a_finished_comparison_is_read_again_and_told_by_another_preference(tiny, tmp_path):
    options = OPTIONS_OF_ONE | {"output": tmp_path / "out"}
    first = hs.compare(tiny, **options)
    written = (first.folder / "report.html").stat().st_mtime_ns
    assert hs.compare(tiny, **options).rows == first.rows
    assert (first.folder / "report.html").stat().st_mtime_ns == written
    assert hs.compare(tiny, prefer="size", **options).verdict.prefer == "size"
    assert verify(first.folder) == []


def interrupted(*asked):
    raise KeyboardInterrupt


def test_asking_again_changes_nothing_and_vouches_for_nothing_that_was_damaged(tiny, tmp_path):
    options = OPTIONS_OF_ONE | {"output": tmp_path / "out"}
    first = hs.compare(tiny, **options)
    renamed = replace(tiny, source="the same, by another way")
    hs.compare(renamed, **options)
    assert verify(first.folder) == []
    model = first.runs[0].model
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("headstart.experiments.compare.write_report", interrupted)
        hs.compare(renamed, metric="f1", **options)
    hs.compare(renamed, metric="f1", **options)
    assert [finding for finding in verify(first.folder) if str(model.relative_to(first.folder)) in finding]


def test_two_processes_do_not_write_one_comparison(tiny, tmp_path):
    hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)
    with writing(tmp_path / "out"), pytest.raises(hs.HeadstartError, match="being written by another process"):
        hs.compare(tiny, output=tmp_path / "out", **OPTIONS_OF_ONE)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"data_dir": "x"}, "data_dir is for data that `load`"),
        ({"fit": "crop"}, "fit is for data that `load`"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, said, tiny):
    with pytest.raises(hs.HeadstartError, match=said):
        hs.compare(tiny, **wrong)
