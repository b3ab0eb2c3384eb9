from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.evaluation.scores import SCORES, Score, evaluate
from headstart.results import runs
from headstart.results.comparison import KEYS, compare_runs
from headstart.results.files import write_json

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
    with runs.new_run(runs.run_folder(folder, strategy, "holdout", seed)) as place:
        predictions = (np.eye(2)[predicted], labels)
        runs.write_predictions(place, dataset["class_names"], test=predictions, val=predictions)
        named = {"candidate": strategy, "split": "holdout", "seed": seed}
        config = {"strategy": {"name": strategy}, "dataset": dataset, "backbone": backbone}
        write_json(place / runs.CONFIG, {"schema": runs.SCHEMA, **named, **config})
        numbers = dict.fromkeys(SCORES, 1.0) | {"fit_seconds": seconds}
        scores = evaluate(*predictions, dataset["class_names"])
        write_json(place / runs.METRICS, numbers | scores | named | (more or {}))


def ask(folder: Path, *candidates: str, seeds=(0,)) -> None:
    """What a comparison of these candidates keeps of what was asked, as far as reading it depends on it."""
    trials = [{"candidate": name, "split": "holdout", "seed": seed} for name in candidates for seed in seeds]
    write_json(folder / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "comparison", "trials": trials})


def test_the_clear_winner_is_recommended_and_the_head_start_told(tmp_path):
    write_run(tmp_path, "deep-cnn", 0.80)
    write_run(tmp_path, "last20", 0.95, seconds=50)
    comparison = compare_runs(tmp_path)
    assert comparison.recommended == "last20"
    assert "95.0 %" in comparison.because
    assert "head start of 15.0 points" in comparison.because
    assert comparison.backbone["name"] == "net"


def test_one_that_is_as_good_within_the_margin_and_far_quicker_is_taken(tmp_path):
    write_run(tmp_path, "frozen", 0.9450, seconds=20)
    write_run(tmp_path, "last20", 0.9475, seconds=100)
    comparison = compare_runs(tmp_path)
    assert comparison.recommended == "frozen"
    assert "only 0.3 points below" in comparison.because
    assert compare_runs(tmp_path, margin=0.001).recommended == "last20"


def write_fold(folder, candidate, fold, folds, labels, predicted):
    """The run of one of so many folds; labels, predicted: (N,) of all images that are tested."""
    places = np.arange(len(labels))[fold::folds]
    about = DATASET | {"test": len(places), "tested": len(labels)}
    with runs.new_run(runs.run_folder(folder, candidate, f"fold{fold + 1}", fold)) as place:
        predictions = (np.eye(2)[predicted[places]], labels[places])
        runs.write_predictions(place, DATASET["class_names"], test=predictions, val=predictions, places=places)
        named = {"candidate": candidate, "split": f"fold{fold + 1}", "seed": fold}
        config = {"strategy": {"name": candidate}, "dataset": about, "backbone": None}
        write_json(place / runs.CONFIG, {"schema": runs.SCHEMA, **named, **config})
        scores = evaluate(*predictions, DATASET["class_names"])
        write_json(place / runs.METRICS, dict.fromkeys(SCORES, 1.0) | {"fit_seconds": 1.0} | scores | named)


def test_who_is_dropped_follows_from_the_metric_that_counts(tmp_path):
    labels = (np.arange(1000) % 50 < 5).astype(int)  # nine to one
    wrong = np.random.default_rng(0).random(1000) < 0.25
    always_the_larger, fair = np.zeros_like(labels), np.where(wrong, 1 - labels, labels)
    for fold in range(2):
        write_fold(tmp_path, "base-cnn", fold, 5, labels, always_the_larger)
        write_fold(tmp_path, "deep-cnn", fold, 5, labels, fair)
    trials = [
        {"candidate": name, "split": f"fold{n + 1}", "seed": n} for n in range(5) for name in ("base-cnn", "deep-cnn")
    ]
    write_json(tmp_path / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "comparison", "trials": trials})
    assert compare_runs(tmp_path).dropped == {"deep-cnn": 1}
    assert compare_runs(tmp_path, metric="balanced-accuracy").dropped == {"base-cnn": 1}
    assert "times the images of the smallest; by balanced accuracy" in compare_runs(tmp_path).because


def test_how_unequal_classes_are_is_read_from_all_that_was_tested(tmp_path):
    labels = np.tile([0, 1], 50)
    labels[::5], labels[[0, 5]] = 0, 1  # nine to one in the first fold alone
    write_fold(tmp_path, "base-cnn", 0, 5, labels, labels)
    for fold in range(5):
        write_fold(tmp_path, "deep-cnn", fold, 5, labels, labels)
    assert "times the images of the smallest" not in compare_runs(tmp_path).because


def test_several_seeds_are_averaged_and_their_spread_told(tmp_path):
    for seed, accuracy in enumerate((0.90, 0.92, 0.94)):
        write_run(tmp_path, "frozen", accuracy, seed)
    table = compare_runs(tmp_path).table()
    assert table.loc["frozen", "accuracy"] == pytest.approx(0.92)
    assert table.loc["frozen", "accuracy_std"] == pytest.approx(0.02)
    assert table.loc["frozen", "runs"] == 3


def test_the_table_keeps_the_order_that_was_asked_for(tmp_path):
    for name in ("frozen", "base-cnn", "last20"):
        write_run(tmp_path, name, 0.9)
    ask(tmp_path, "last20", "base-cnn", "frozen")
    assert list(compare_runs(tmp_path).table().index) == ["last20", "base-cnn", "frozen"]


def test_what_is_saved_is_the_contract(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    compare_runs(tmp_path).save()
    saved = json.loads((tmp_path / runs.COMPARISON).read_text())
    later = ["summary", "verdict", "leaked_test_images", "without_leaks", "label_suspects"]
    later += ["forgetting", "mixtures", "dropped"]
    first = ["schema", "dataset", "backbone", "strategies", "planned", "recommended", "because"]
    assert list(saved) == [*first, *later]
    assert list(saved["strategies"][0]) == [*KEYS, *SCORES]
    assert (tmp_path / runs.TABLE).read_text().splitlines()[0] == ",".join([*KEYS, *SCORES])


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
    write_json(tmp_path / runs.AUDIT, {"leaked_test_images": wrong[:10].tolist(), "files": {}})
    comparison = compare_runs(tmp_path)
    accuracy = comparison.summary["frozen"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.9)
    assert accuracy["low"] < accuracy["mean"] < accuracy["high"]
    assert comparison.leaked == 10
    assert comparison.without_leaks["frozen"]["accuracy"] == pytest.approx(360 / 390)


def test_labels_that_a_good_classifier_disbelieves_are_listed_with_their_files(tmp_path):
    mislabelled = LABELS.copy()
    mislabelled[[7, 300]] = 1 - mislabelled[[7, 300]]
    with runs.new_run(runs.run_folder(tmp_path, "frozen", "holdout", 0)) as place:
        sure = 6 * np.eye(2)[LABELS]
        runs.write_predictions(place, DATASET["class_names"], test=(sure, mislabelled), val=(sure, LABELS))
        config = {"strategy": {"name": "frozen"}, "seed": 0, "dataset": DATASET, "backbone": None}
        write_json(place / runs.CONFIG, config)
        scores = evaluate(sure, mislabelled, DATASET["class_names"])
        write_json(place / runs.METRICS, dict.fromkeys(SCORES, 1.0) | scores | {"seed": 0})
    files = [f"{row}.jpg" for row in range(400)]
    write_json(tmp_path / runs.AUDIT, {"leaked_test_images": [], "files": {"test": files, "val": files}})
    suspects = compare_runs(tmp_path).label_suspects
    assert {(each["split"], each["file"]) for each in suspects} == {("test", "7.jpg"), ("test", "300.jpg")}
    assert all(each["label"] != each["suggested"] and each["confidence"] > 0.9 for each in suspects)


def test_a_finished_folder_keeps_its_order_and_preference(tmp_path):
    for name, seconds in (("frozen", 10), ("base-cnn", 5)):
        write_run(tmp_path, name, 0.9, seed=1, seconds=seconds)
    ask(tmp_path, "frozen", "base-cnn", seeds=(1,))
    first = compare_runs(tmp_path, "size")
    first.save()
    again = compare_runs(tmp_path)
    assert [row["candidate"] for row in again.rows] == ["frozen", "base-cnn"]
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


def test_where_every_test_image_leaks_nothing_is_scored_without_them(tmp_path):
    write_run(tmp_path, "frozen", 0.9)
    write_json(tmp_path / runs.AUDIT, {"leaked_test_images": list(range(400)), "files": {}})
    comparison = compare_runs(tmp_path)
    assert comparison.leaked == 400
    assert comparison.without_leaks == {}
    comparison.save()


def test_a_comparison_knows_how_much_of_it_is_still_to_come(tmp_path):
    ask(tmp_path, "frozen", "last20", seeds=(0, 1))
    write_run(tmp_path, "frozen", 0.9)
    write_run(tmp_path, "frozen", 0.92, seed=1)
    write_run(tmp_path, "last20", 0.9)
    comparison = compare_runs(tmp_path)
    assert (len(comparison.runs), comparison.planned, comparison.is_complete) == (3, 4, False)
    write_run(tmp_path, "base-cnn", 0.8)  # nobody asked for it
    comparison = compare_runs(tmp_path)
    assert (len(comparison.runs), comparison.planned, comparison.is_complete) == (4, 5, False)
    assert list(comparison.table().index) == ["frozen", "last20", "base-cnn"]
    write_run(tmp_path, "last20", 0.94, seed=1)
    assert compare_runs(tmp_path).is_complete


@pytest.fixture
def with_another_score(monkeypatch):
    """The table of scores has a row more than when the runs were made."""
    accuracy = SCORES["accuracy"]
    error = replace(accuracy, key="error", title="Error", short="error", better="lower", contributions=None)
    error = replace(error, formula=lambda p: 1 - accuracy.formula(p))
    return lambda: monkeypatch.setitem(SCORES, "error", error)


def test_a_score_that_a_run_lacks_is_computed_from_its_predictions(tmp_path, with_another_score):
    write_run(tmp_path, "frozen", 0.9025)  # has neither history nor weights, which no score follows from
    with_another_score()
    comparison = compare_runs(tmp_path)
    assert comparison.rows[0]["error"] == 0.0975  # as it is written: 1 - 0.9025 has more figures
    assert comparison.table().loc["frozen", "error"] == pytest.approx(0.0975)
    comparison.save()
    assert "error" in (tmp_path / runs.TABLE).read_text().splitlines()[0]


def test_a_score_with_an_interval_that_runs_lack_has_one_and_is_known_without_leaks(tmp_path, monkeypatch):
    for seed, accuracy in enumerate((0.90, 0.92)):
        write_run(tmp_path, "frozen", accuracy, seed)
    wrong = np.flatnonzero(np.diff(runs.find_runs(tmp_path)[0].predictions()[0], axis=1)[:, 0] * (2 * LABELS - 1) < 0)
    write_json(tmp_path / runs.AUDIT, {"leaked_test_images": wrong[:10].tolist(), "files": {}})
    accuracy = compare_runs(tmp_path).summary["frozen"]["accuracy"]
    monkeypatch.setitem(SCORES, "again", replace(SCORES["accuracy"], key="again"))
    comparison = compare_runs(tmp_path)
    assert comparison.summary["frozen"]["again"] == pytest.approx(accuracy)
    without = comparison.without_leaks["frozen"]
    assert without["again"] == without["accuracy"] > accuracy["mean"]
    monkeypatch.delitem(SCORES, "again")
    assert comparison.summary["frozen"].keys() - compare_runs(tmp_path).summary["frozen"].keys() == {"again"}


def test_a_score_that_was_not_measured_is_missing_and_no_error(tmp_path, monkeypatch):
    write_run(tmp_path, "frozen", 0.9)
    watts = Score("watts", "Power", "of the machine", "decimal", "lower", shown=("cost",))
    monkeypatch.setitem(SCORES, "watts", watts)
    comparison = compare_runs(tmp_path)
    assert comparison.rows[0]["watts"] is None
    assert np.isnan(comparison.table().loc["frozen", "watts"])
    comparison.save()
