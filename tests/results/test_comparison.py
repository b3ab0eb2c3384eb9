from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.evaluation.metrics import evaluate
from headstart.results import runs
from headstart.results.comparison import ROW, compare_runs

DATASET = {
    "name": "toy",
    "fingerprint": "f",
    "source": "tests",
    "class_names": ["a", "b"],
    "train": 10,
    "val": 5,
    "test": 400,
}
LABELS = np.arange(400) % 2


def write_run(
    folder: Path, strategy: str, accuracy: float, seed=0, seconds=10.0, dataset=DATASET, labels=LABELS, more=None
):
    wrong = np.random.default_rng(seed).permutation(len(labels))[: round((1 - accuracy) * len(labels))]
    predicted = labels.copy()
    predicted[wrong] = 1 - predicted[wrong]
    backbone = {"name": "net", "weights": "w", "why": "y"} if strategy in ("frozen", "last20") else None
    with runs.new_run(folder, strategy, seed) as place:
        predictions = (np.eye(2)[predicted], labels)
        runs.write_predictions(place, dataset["class_names"], test=predictions, val=predictions)
        runs.write_json(place / runs.CONFIG, {"strategy": {"name": strategy}, "dataset": dataset, "backbone": backbone})
        numbers = dict.fromkeys(ROW, 1.0) | {"fit_seconds": seconds}
        scores = evaluate(*predictions, dataset["class_names"])
        runs.write_json(place / runs.METRICS, numbers | scores | {"strategy": strategy, "seed": seed} | (more or {}))


def test_the_clear_winner_is_recommended_and_the_head_start_told(tmp_path):
    write_run(tmp_path, "deep-cnn", 0.80)
    write_run(tmp_path, "last20", 0.95, seconds=50)
    comparison = compare_runs(tmp_path, ["deep-cnn", "last20"])
    assert comparison.recommended == "last20"
    assert "95.00 %" in comparison.because
    assert "15.00 points" in comparison.because
    assert "head start of 15.00 points" in comparison.because
    assert comparison.backbone["name"] == "net"


def test_of_those_that_cannot_be_told_apart_the_quickest_is_taken(tmp_path):
    write_run(tmp_path, "frozen", 0.9450, seconds=20)
    write_run(tmp_path, "last20", 0.9475, seconds=100)
    comparison = compare_runs(tmp_path)
    assert comparison.recommended == "frozen"
    assert "cannot be told apart" in comparison.because


def test_several_seeds_are_averaged_and_their_spread_told(tmp_path):
    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        write_run(tmp_path, "frozen", accuracy, seed)
    table = compare_runs(tmp_path).table()
    assert table.loc["frozen", "accuracy"] == pytest.approx(0.92)
    assert table.loc["frozen", "accuracy_std"] == pytest.approx(0.02)
    assert table.loc["frozen", "seeds"] == 3


def test_the_table_keeps_the_order_that_was_asked_for(tmp_path):
    for name in ("frozen", "base-cnn", "last20"):
        write_run(tmp_path, name, 0.9)
    assert list(compare_runs(tmp_path, ["last20", "base-cnn", "frozen"]).table().index) == [
        "last20",
        "base-cnn",
        "frozen",
    ]


def test_what_is_saved_is_the_contract(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    compare_runs(tmp_path).save()
    saved = json.loads((tmp_path / runs.COMPARISON).read_text())
    later = ["summary", "verdict", "leaked_test_images", "without_leaks", "label_suspects", "forgetting"]
    assert list(saved) == ["dataset", "backbone", "strategies", "recommended", "because", *later]
    assert list(saved["strategies"][0]) == list(ROW)
    assert (tmp_path / runs.TABLE).read_text().splitlines()[0] == ",".join(ROW)


def test_runs_on_different_data_are_not_compared(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    write_run(tmp_path, "last20", 0.9, dataset=DATASET | {"fingerprint": "other"})
    with pytest.raises(HeadstartError, match="not tested on the same data"):
        compare_runs(tmp_path)


def test_runs_with_other_test_labels_are_not_compared(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    write_run(tmp_path, "last20", 0.9, labels=1 - LABELS)
    with pytest.raises(HeadstartError, match="tested on other labels"):
        compare_runs(tmp_path)


def test_an_empty_folder_is_a_clear_error(tmp_path):
    with pytest.raises(HeadstartError, match="no finished run"):
        compare_runs(tmp_path)


def test_scores_are_given_with_intervals_and_without_leaked_images_too(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    run = runs.find_runs(tmp_path)[0]
    logits, labels, _ = run.predictions()
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    runs.write_json(tmp_path / runs.AUDIT, {"leaked_test_images": wrong[:10].tolist(), "files": {}})
    comparison = compare_runs(tmp_path)
    accuracy = comparison.summary["frozen"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.9)
    assert accuracy["low"] < accuracy["mean"] < accuracy["high"]
    assert comparison.leaked == 10
    assert comparison.without_leaks["frozen"]["accuracy"] == pytest.approx(360 / 390)


def test_labels_that_a_good_classifier_disbelieves_are_listed_with_their_files(tmp_path):
    mislabelled = LABELS.copy()
    mislabelled[[7, 300]] = 1 - mislabelled[[7, 300]]
    with runs.new_run(tmp_path, "frozen", 0) as place:
        sure = 6 * np.eye(2)[LABELS]
        runs.write_predictions(place, DATASET["class_names"], test=(sure, mislabelled), val=(sure, LABELS))
        runs.write_json(place / runs.CONFIG, {"strategy": {"name": "frozen"}, "dataset": DATASET, "backbone": None})
        scores = evaluate(sure, mislabelled, DATASET["class_names"])
        runs.write_json(place / runs.METRICS, dict.fromkeys(ROW, 1.0) | scores | {"strategy": "frozen", "seed": 0})
    files = [f"{row}.jpg" for row in range(400)]
    runs.write_json(tmp_path / runs.AUDIT, {"leaked_test_images": [], "files": {"test": files, "val": files}})
    suspects = compare_runs(tmp_path).label_suspects
    assert {(each["split"], each["file"]) for each in suspects} == {("test", "7.jpg"), ("test", "300.jpg")}
    assert all(each["label"] != each["suggested"] and each["confidence"] > 0.9 for each in suspects)


def test_a_finished_folder_keeps_its_order_and_preference(tmp_path):
    for name, seconds in (("frozen", 10), ("base-cnn", 5)):
        write_run(tmp_path, name, 0.9, seed=1, seconds=seconds)
    first = compare_runs(tmp_path, ["frozen", "base-cnn"], "size")
    first.save()
    again = compare_runs(tmp_path)
    assert [row["strategy"] for row in again.strategies] == ["frozen", "base-cnn"]
    assert again.verdict.prefer == "size"


def test_forgetting_is_the_mean_of_the_seeds_that_know_it(tmp_path):
    def forgotten(agreement: float, features: float | None) -> dict:
        numbers = {"agreement": agreement, "divergence": 0.5, "weight_distance": 0.1}
        return {"forgetting": numbers | {"by_piece": {}, "cka": {"blocks_6": 0.1, "features": features}}}

    write_run(tmp_path, "deep-cnn", 0.8, more={"forgetting": None})
    write_run(tmp_path, "frozen", 0.9)  # as runs were before it was measured
    write_run(tmp_path, "last20", 0.9, seed=0, more=forgotten(0.4, 0.7))
    write_run(tmp_path, "last20", 0.9, seed=1, more=forgotten(0.6, None))
    comparison = compare_runs(tmp_path)
    assert list(comparison.forgetting) == ["last20"]
    wanted = {"agreement": 0.5, "divergence": 0.5, "weight_distance": 0.1, "cka": 0.7}
    assert comparison.forgetting["last20"] == pytest.approx(wanted)
    comparison.save()
    assert json.loads((tmp_path / runs.COMPARISON).read_text())["forgetting"]["last20"] == pytest.approx(wanted)


def test_what_no_seed_knows_of_forgetting_is_none(tmp_path):
    write_run(tmp_path, "last20", 0.9, more={"forgetting": {"agreement": 0.4, "cka": {}}})
    wanted = {"agreement": 0.4, "divergence": None, "weight_distance": None, "cka": None}
    assert compare_runs(tmp_path).forgetting == {"last20": wanted}
