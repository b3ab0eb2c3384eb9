from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_curves import write_run

import headstart as hs
from headstart.cli import main
from headstart.experiments.learning_curve import chosen_sizes, learning_curve
from headstart.plan import Plan
from headstart.results import runs
from headstart.results.files import read_json, write_json
from headstart.results.request import read_request
from headstart.results.verification import verify

OPTIONS = ["--strategies", "base-cnn", "--epochs", "1", "--device", "cpu"]


@pytest.fixture
def killed() -> set[int]:
    """At which training sizes a trial is to be killed."""
    return set()


@pytest.fixture
def trained(monkeypatch, killed) -> list[tuple[int, str, int]]:
    """(training images, candidate, seed) of every trial, in order; a stand-in for it trains nothing."""
    ran = []

    def run_trial(trial, data, watch):
        size = len(data.train)
        ran.append((size, trial.candidate.name, trial.seed))
        if size in killed:
            raise KeyboardInterrupt
        write_run(trial.setting.folder, trial.candidate.name, trial.seed, size, 0.9 - 10 / (size + 20))
        return runs.Run(trial.folder)

    monkeypatch.setattr("headstart.experiments.runner.run_trial", run_trial)
    monkeypatch.setattr("headstart.experiments.compare.write_report", lambda comparison: None)
    monkeypatch.setattr("headstart.experiments.compare.write_card", lambda comparison: None)
    monkeypatch.setattr("headstart.experiments.compare.images.keep_pictures", lambda comparison, data: None)
    monkeypatch.setattr("headstart.experiments.stages.Stages.backbones", {})
    return ran


def sizes(ran: list[tuple[int, str, int]]) -> list[int]:
    return [size for size, _, _ in ran]


def test_a_curve_is_trained_from_the_command_line_and_can_be_verified(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headstart.experiments.compare.load", lambda *args, **options: tiny)
    main(["learning-curve", "--sizes", "24", "all", *OPTIONS])
    folder = tmp_path / "runs" / "tiny-curve-1"
    printed = capsys.readouterr().out
    assert "Nothing is said beyond 96 training images: that takes 4 sizes, and 2 were measured." in printed
    assert "Figure: runs/tiny-curve-1/curve.png" in printed
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["24", "96", "SHA256SUMS", "curve.csv", "curve.json", "curve.png", "request.json"]
    assert [read_json(folder / size / runs.COMPARISON)["dataset"]["train"] for size in ("24", "96")] == [24, 96]
    assert (folder / "24" / runs.REPORT).exists()
    assert verify(folder) == []
    (folder / "24" / runs.REPORT).write_text("better")
    assert verify(folder) == ["24/report.html is not as it was written: its SHA-256 differs"]


def test_every_size_is_an_ordinary_comparison_with_the_same_options(trained, tiny, tmp_path):
    options = {"seed": [1, 2], "epochs": 3, "image_size": 64, "class_weights": "balanced", "prefer": "size"}
    curve = hs.learning_curve(
        tiny, ["all", 30, 10], ["frozen", "base-cnn"], output=tmp_path / "curve", offline=True, **options
    )
    one_size = [("base-cnn", 1), ("frozen", 1), ("base-cnn", 2), ("frozen", 2)]
    assert trained == [(size, *each) for size in (10, 30, 96) for each in one_size]
    for size in (10, 30, 96):
        asked = read_request(tmp_path / "curve" / str(size))
        kept = {"seed": [1, 2], "epochs": 3, "image_size": 64, "class_weights": "balanced"}
        assert asked["options"].items() >= kept.items()
        assert curve.comparisons[size].verdict.prefer == "size"
    assert list(curve.comparisons) == [10, 30, 96]


def test_what_was_killed_goes_on_where_it_was(trained, killed, tiny, tmp_path):
    killed.add(30)
    with pytest.raises(KeyboardInterrupt):
        learning_curve(tiny, [10, 30, "all"], ["base-cnn"], output=tmp_path / "curve")
    killed.clear()
    first = (tmp_path / "curve" / "10" / runs.COMPARISON).stat().st_mtime_ns
    curve = learning_curve(tiny, [10, 30, "all"], ["base-cnn"], output=tmp_path / "curve")
    assert sizes(trained) == [10, 30, 30, 96]
    assert list(curve.comparisons) == [10, 30, 96]
    assert (tmp_path / "curve" / "10" / runs.COMPARISON).stat().st_mtime_ns == first


def test_a_finished_curve_takes_further_sizes(trained, tiny, tmp_path):
    learning_curve(tiny, [10, 96], ["base-cnn"], output=tmp_path / "curve")
    curve = learning_curve(tiny, [10, 50], ["base-cnn"], output=tmp_path / "curve")
    assert sizes(trained) == [10, 96, 50]
    assert list(curve.comparisons) == [10, 50, 96]
    assert read_json(tmp_path / "curve" / runs.CURVE)["sizes"] == [10, 50, 96]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"epochs": 2}, "with epochs null, not 2"),
        ({"seed": 3}, r"with seed \[0\], not \[3\]"),
        ({"strategies": ["deep-cnn"]}, r'with strategies \["base-cnn"\], not \["deep-cnn"\]'),
        ({"class_weights": "balanced"}, 'with class_weights "none", not "balanced"'),
    ],
)
def test_another_curve_is_not_mixed_into_an_old_one(other, said, trained, tiny, tmp_path):
    options = {"strategies": ["base-cnn"], "output": tmp_path / "curve"}
    learning_curve(tiny, [10, 30], **options)
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(tiny, [10, 30, 96], **options | other)
    assert len(trained) == 2


def test_a_recipe_that_was_changed_in_between_gives_no_curve_of_two_recipes(trained, tiny, tmp_path, monkeypatch):
    learning_curve(tiny, [10, 30], ["base-cnn"], output=tmp_path / "curve")
    base = hs.STRATEGIES["base-cnn"]
    other = replace(base, recipe=replace(base.recipe, label_smoothing=0.3))
    monkeypatch.setitem(hs.STRATEGIES, "base-cnn", other)
    with pytest.raises(hs.HeadstartError, match=r"label_smoothing 0\.0, not 0\.3"):
        learning_curve(tiny, [10, 30, 96], ["base-cnn"], output=tmp_path / "curve")
    assert sizes(trained) == [10, 30]


def test_a_time_limit_is_for_all_sizes_and_a_plan_is_kept(tiny, tmp_path):
    options = {"strategies": ["base-cnn"], "time_limit": 20, "device": "cpu", "output": tmp_path / "curve"}
    curve = learning_curve(tiny, [30, 96], **options)
    limits = [read_request(tmp_path / "curve" / size)["options"]["time_limit"] for size in ("30", "96")]
    assert limits[0] <= 10
    assert all(Plan.of(run.config["plan"]).epochs > 0 for found in curve.comparisons.values() for run in found.runs)
    learning_curve(tiny, [30, 96], **options)
    assert [read_request(tmp_path / "curve" / size)["options"]["time_limit"] for size in ("30", "96")] == limits


def test_sizes_are_those_of_the_default_that_the_data_has_and_all(tiny):
    with pytest.raises(hs.HeadstartError, match="tiny with 96 training images gives 96 alone"):
        chosen_sizes(tiny)
    rows = np.tile(tiny.splits[0].train, 40)
    larger = tiny.with_splits(replace(tiny.splits[0], train=rows))
    assert chosen_sizes(larger) == [100, 300, 1000, 3000, 3840]
    assert chosen_sizes(tiny, ["all", 50, 96]) == [50, 96]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([50], "needs two sizes or more, and 1 was given"),
        ([96, "all"], "gives 96 alone"),
        ([2, 50], "between 3 training images .* and all 96: 2 is not"),
        ([50, 97], "between 3 training images .* and all 96: 97 is not"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_trained(given, said, trained, tiny, tmp_path):
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(tiny, given, ["base-cnn"], output=tmp_path / "curve")
    assert trained == []
    assert not (tmp_path / "curve").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategies": ["last21"]}, "unknown strategy 'last21'"),
        ({"sizes": [50]}, "needs two sizes or more"),
        ({"folds": 5}, "it has no --folds"),
        ({"epochs": 0}, "epochs: 0 is not a whole number of 1 or more"),
        ({"seed": []}, "is not one or more different seeds"),
    ],
)
def test_what_cannot_be_is_refused_before_the_data_is_asked_for(options, said):
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(lambda: pytest.fail("data was asked for first"), **options)


def test_processes_that_torchrun_started_are_refused_a_curve(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(hs.HeadstartError, match="not for torchrun: --devices N starts"):
        learning_curve(lambda: pytest.fail("data was asked for first"))


def test_of_a_curve_that_is_resumed_the_limit_goes_on(tiny, tmp_path):
    options = {"strategies": ["base-cnn"], "time_limit": 1000, "device": "cpu", "output": tmp_path / "curve"}
    learning_curve(tiny, [30, 96], **options)
    request = read_json(tmp_path / "curve" / runs.REQUEST)
    assert 0 < request["spent"] < 1000 and request["probes"]
    learning_curve(tiny, [30, 96], **options)
    assert read_json(tmp_path / "curve" / runs.REQUEST) == request  # there was nothing left to do
    write_json(tmp_path / "curve" / runs.REQUEST, request | {"spent": 900.0})
    shutil.rmtree(tmp_path / "curve" / "96")
    learning_curve(tiny, [30, 96], **options)
    assert read_request(tmp_path / "curve" / "96")["options"]["time_limit"] < 100


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(hs.HeadstartError, match="is not an empty folder"):
        learning_curve(lambda: pytest.fail("data was asked for first"), output=tmp_path)


def test_without_a_word_about_it_a_curve_has_no_time_limit(tiny, tmp_path):
    curve = learning_curve(tiny, [30, 96], ["base-cnn"], device="cpu", output=tmp_path / "curve")
    assert {run.config["plan"] for found in curve.comparisons.values() for run in found.runs} == {None}
