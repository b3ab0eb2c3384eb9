from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import headstart as hs
from headstart.experiments import trackers
from headstart.experiments.trackers import Tracker, refuse_missing, tracking
from headstart.results import runs
from headstart.results.files import write_json

CONFIG = {
    "strategy": {
        "name": "base-cnn",
        "recipe": {"epochs": 2, "schedule": "cosine", "patience": None, "groups": [{"pattern": "*"}]},
    },
    "dataset": {"name": "tiny"},
    "backbone": None,
    **{"seed": 0, "device": "cpu", "precision": "32-true"},
}
METRICS = {"strategy": "base-cnn", "seed": 0, "epochs": 2, "accuracy": 0.75, "f1_macro": 0.5, "per_class": []}


def follow(name: str, folder: Path) -> None:
    """A comparison of one run of two epochs, told to a tracker."""
    run = runs.Run(folder / "base-cnn" / "seed0")
    run.folder.mkdir(parents=True)
    (folder / runs.FIGURES).mkdir()
    Image.fromarray(np.full((4, 6, 3), 200, np.uint8)).save(folder / runs.FIGURES / "curves.png")
    (folder / runs.TABLE).write_text("strategy\n")
    (folder / runs.REPORT).write_text("<html>")
    write_json(run.folder / runs.CONFIG, CONFIG)
    write_json(run.folder / runs.METRICS, METRICS)
    with tracking([name], folder) as whole:
        with tracking([name], folder, "base-cnn/seed0", whole) as told:
            told.row({"epoch": 1, "val_loss": 0.9, "val_accuracy": 0.5})
            told.row({"epoch": 2, "val_loss": 0.6, "val_accuracy": 0.7})
            told.result(run)
        whole.pictures(folder)


def test_tensorboard_has_the_curves_the_scores_and_the_figures(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'headstart[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow("tensorboard", tmp_path / "out")
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard" / "base-cnn" / "seed0")).Reload()
    curve = [(event.step, round(event.value, 4)) for event in events.Scalars("val_loss")]
    assert curve == [(1, 0.9), (2, 0.6)]
    assert [event.value for event in events.Scalars("final/accuracy")] == [0.75]
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    whole = EventAccumulator(str(tmp_path / "out" / "tensorboard" / "comparison")).Reload()
    (image,) = whole.Images("curves")
    assert (image.width, image.height) == (6, 4)


@pytest.mark.filterwarnings("ignore")  # MLflow's own, and those of what it brings
def test_mlflow_has_the_curves_the_scores_and_the_figures(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'headstart[mlflow]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    follow("mlflow", Path("out"))
    assert (tmp_path / "mlflow.db").exists()
    client = mlflow.MlflowClient(trackers.MLFLOW_STORE)
    experiment = client.get_experiment_by_name("headstart").experiment_id
    found = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert found.keys() == {"out", "base-cnn/seed0"}
    run, whole = found["base-cnn/seed0"], found["out"]
    assert run.data.tags["mlflow.parentRunId"] == whole.info.run_id
    curve = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(each.step, each.value) for each in curve] == [(1, 0.9), (2, 0.6)]
    assert run.data.metrics["final/accuracy"] == 0.75
    assert run.data.params["schedule"] == "cosine"
    assert {run.info.status, whole.info.status} == {"FINISHED"}
    kept = {each.path for each in client.list_artifacts(whole.info.run_id)}
    assert kept == {"curves.png", "comparison.csv", "report.html"}


def test_a_comparison_is_tracked_as_it_trains_and_verifies(tiny, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'headstart[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from headstart.results.verification import verify

    options = {"epochs": 2, "device": "cpu", "output": tmp_path / "out", "log": ["tensorboard"]}
    result = hs.compare(tiny, ["base-cnn"], **options)
    (run,) = result.runs
    events = EventAccumulator(str(result.folder / "tensorboard" / run.folder.relative_to(result.folder))).Reload()
    history = run.history
    np.testing.assert_allclose([event.value for event in events.Scalars("val_accuracy")], history["val_accuracy"])
    assert [event.step for event in events.Scalars("train_loss")] == list(history["epoch"])
    whole = EventAccumulator(str(result.folder / "tensorboard" / "comparison")).Reload()
    assert {"accuracy_vs_time", "curves", "confusion_base-cnn"} <= set(whole.Tags()["images"])
    assert verify(result.folder) == []


@pytest.mark.parametrize("name", trackers.TRACKERS)
def test_a_tracker_that_is_not_installed_is_one_line_that_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    with pytest.raises(hs.HeadstartError, match=rf"pip install 'headstart\[{name}\]'$"):
        refuse_missing([name])


def test_what_to_import_and_what_to_install_are_columns_of_the_table(monkeypatch):
    row = Tracker("board", package="no_such_package", extra="boards", make=trackers.TensorBoard)
    monkeypatch.setitem(trackers.TRACKERS, "board", row)
    with pytest.raises(hs.HeadstartError, match=r"--log board needs .* pip install 'headstart\[boards\]'$"):
        refuse_missing(["board"])
    monkeypatch.setitem(trackers.TRACKERS, "board", Tracker("board", "json", "boards", trackers.TensorBoard))
    refuse_missing(["board"])


CALLS = ("make", "log_metrics", "log_hyperparams", "keep", "finalize")


class Recorder:
    """A tracker that notes what it is called for, and fails at one of these."""

    where, version, fails_at = "nowhere", "1", ""
    calls: list[str]

    def __init__(self, comparison, run, parent):
        self.note("make")

    def note(self, call):
        self.calls.append(call)
        if call == self.fails_at:
            raise ConnectionError("the server\nis gone")

    def log_metrics(self, numbers, step):
        self.note("log_metrics")

    def log_hyperparams(self, asked, final, step):
        self.note("log_hyperparams")

    def keep(self, path):
        self.note("keep")

    def finalize(self, status):
        self.note("finalize")


@pytest.fixture
def recorder(monkeypatch):
    """recorder(name, fails_at) puts one into the table; returns what it will note."""

    def add(name, fails_at=""):
        kind = type(name, (Recorder,), {"fails_at": fails_at, "calls": []})
        monkeypatch.setitem(trackers.TRACKERS, name, Tracker(name, "json", "none", kind))
        return kind.calls

    return add


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(trackers, "say", lines.append)
    return lines


@pytest.mark.parametrize("call", CALLS)
def test_a_tracker_that_fails_is_told_once_and_left_alone(call, recorder, said, tmp_path):
    calls = recorder("broken", fails_at=call)
    follow("broken", tmp_path / "out")
    assert calls.count(call) == 1 and calls[-1] == call
    failures = [line for line in said if "failed" in line]
    assert len(failures) == 1
    assert failures[0].startswith("broken failed at ")
    assert "the server is gone" in failures[0] and failures[0].endswith("training goes on without it")


def test_a_tracker_that_failed_in_one_run_is_not_begun_with_in_the_next(recorder, said, tmp_path):
    calls = recorder("broken", fails_at="log_metrics")
    sound = recorder("sound")
    with tracking(["broken", "sound"], tmp_path) as whole:
        for run in ("base-cnn/seed0", "base-cnn/seed1"):
            with tracking(["broken", "sound"], tmp_path, run, whole) as told:
                told.row({"epoch": 1, "val_loss": 0.9})
        assert list(whole.loggers) == ["sound"]
    assert calls == ["make", "make", "log_metrics"]
    assert sound == ["make", *["make", "log_metrics", "finalize"] * 2, "finalize"]


def test_a_tracker_that_fails_does_not_hide_why_a_run_failed(recorder, said, tmp_path):
    recorder("broken", fails_at="finalize")
    with pytest.raises(ZeroDivisionError), tracking(["broken"], tmp_path):
        raise ZeroDivisionError


def test_tensorboard_that_cannot_write_its_folder_is_told_once(said, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install 'headstart[tensorboard]'")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tensorboard").write_text("a file where the folder should be")
    with tracking(["tensorboard"], tmp_path / "out") as whole:
        for epoch in (1, 2):
            whole.row({"epoch": epoch, "val_loss": 0.9})
    failures = [line for line in said if line.startswith("tensorboard failed at epoch 1: ")]
    assert len(failures) == 1 and len(said) == 2


def test_a_run_that_fails_is_told_to_have_failed(tmp_path, monkeypatch):
    ended = []

    class Recorder(trackers.MLflow):
        def __init__(self, comparison, run, parent):
            self.where = "nowhere"

        def finalize(self, status):
            ended.append(status)

    monkeypatch.setitem(trackers.TRACKERS, "mlflow", Tracker("mlflow", "mlflow", "mlflow", Recorder))
    with pytest.raises(KeyboardInterrupt), tracking(["mlflow"], tmp_path):
        raise KeyboardInterrupt
    assert ended == ["failed"]
