"""One network trained by two processes, through gloo: as one process trains it with the same batches."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_data import CLASS_NAMES, coloured_part, dataset_of

import headstart as hs
from headstart.cli import main
from headstart.errors import HeadstartError, MachineError
from headstart.experiments import processes
from headstart.experiments.runners import running
from headstart.experiments.trackers import Tracked
from headstart.experiments.trial import Setting, Trial, weights_of
from headstart.models.backbones import load_backbone
from headstart.options import Options
from headstart.results import runs
from headstart.runtime.device import settings_kept, stored_probe
from headstart.strategies import candidates_of, with_epochs, with_recipe
from headstart.training import checkpoint

LITE0 = "tf_efficientnet_lite0.in1k"
APART, WEIGHTS = {"train_loss": 1e-4, "val_loss": 1e-3}, 2e-3  # how far at most: docs/decisions/devices.md
# A bias before a BatchNorm, which takes it away: its gradient is rounding alone, and AdamW makes whole steps of that.
NOISE = {"trainable.head.1.bias", "trainable.head.2.running_mean"}
EPOCHS, BATCH = 3, 25  # which two processes cannot halve


@pytest.fixture(scope="module", autouse=True)
def in_fp32(tmp_path_factory):
    """A cache in which fp32 was found to be the quicker, by all threads and by half of them: all processes read it."""
    with pytest.MonkeyPatch.context() as patch, settings_kept():
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))
        for threads in (torch.get_num_threads(), max(1, torch.get_num_threads() // 2)):
            torch.set_num_threads(threads)
            stored_probe("precision", torch.device("cpu"), lambda: {"choice": "32-true", "seconds": {}})
        yield


@pytest.fixture(scope="module")
def uneven():
    """Of an odd number of images in every part, a third of them labelled by chance: what is learned stays unsure."""
    draw, parts = np.random.default_rng(0), []
    for seed, count in enumerate((103, 31, 29)):
        images, labels = coloured_part(count, 32, seed)
        parts.append((images, np.where(draw.random(count) < 1 / 3, draw.permutation(labels), labels)))
    return dataset_of("uneven", CLASS_NAMES, *parts)


def trials_in(folder: Path, *names: str) -> list[Trial]:
    found = []
    for name in names:
        strategy = with_recipe(with_epochs(hs.STRATEGIES[name], EPOCHS), batch_size=BATCH, class_weights="balanced")
        weights = (
            weights_of(load_backbone(LITE0, 32, offline=True), None, True) if strategy.network == "backbone" else None
        )
        (candidate,) = candidates_of([strategy], [weights])
        shares = () if weights is None else (strategy.frozen_share,)
        found.append(Trial(candidate, "holdout", 0, Setting(folder, "cpu", None, shares)))
    return found


def run(trials, data, devices, on_done=lambda run: None):
    with settings_kept():
        if devices == 1:  # as many as each of two has, for the frozen pass to give the same
            torch.set_num_threads(max(1, torch.get_num_threads() // 2))
        with running(Options(device="cpu", devices=devices)) as run_trials:
            run_trials(trials, data, Tracked({}), on_done)
    return [runs.Run(trial.folder) for trial in trials]


def test_two_processes_train_as_one_does(uneven, tmp_path):
    names = ("base-cnn", "frozen")
    one = run(trials_in(tmp_path / "one", *names), uneven, 1)
    two = run(trials_in(tmp_path / "two", *names), uneven, 2)
    for name, here, both in zip(names, one, two, strict=True):
        assert both.config["device"].startswith("2 x ")
        assert len(both.history) == EPOCHS
        for column, most in APART.items():
            assert np.abs(here.history[column] - both.history[column]).max() < most, (name, column)
        before, after = (load_file(each.model) for each in (here, both))
        for key in before.keys() - NOISE:
            assert np.abs(before[key].astype(float) - after[key]).max() < WEIGHTS, (name, key)
        assert (here.predictions()[0].argmax(axis=1) == both.predictions()[0].argmax(axis=1)).all()
    written = [sorted(path.name for path in (tmp_path / each).rglob("*.*")) for each in ("one", "two")]
    assert written[0] == written[1]


def test_an_interrupted_trial_goes_on_in_all_processes_with_the_same_bits(uneven, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))  # one an epoch
    whole, broken = (trials_in(tmp_path / name, "base-cnn") for name in ("whole", "broken"))
    (expected,) = run(whole, uneven, 2)
    real = checkpoint.Checkpoints.save

    def interrupted(kept, state):
        real(kept, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoints, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(broken, uneven, 2)
    monkeypatch.setattr(checkpoint.Checkpoints, "save", real)
    (found,) = run(broken, uneven, 2)
    assert found.model.read_bytes() == expected.model.read_bytes()
    assert found.history["val_loss"].tolist() == expected.history["val_loss"].tolist()


def test_where_another_process_is_killed_one_line_says_so(uneven, tmp_path, monkeypatch):
    started = processes._started

    def killed(*asked):
        found = started(*asked)
        monkeypatch.setattr(checkpoint.Checkpoints, "save", lambda *_: os.kill(found[0].process.pid, signal.SIGKILL))
        return found

    monkeypatch.setattr(processes, "_started", killed)
    with pytest.raises(MachineError, match=r"process 2 of 2 ended \(exit code -9\): what is finished is kept"):
        run(trials_in(tmp_path, "base-cnn"), uneven, 2)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--devices", "0"], "'0' is not a whole number of 1 or more"),
        (["--devices", "two"], "'two' is not a whole number of 1 or more"),
        (["--devices", "2", "--runner", "dask"], "--devices 2 is for trials that are run here"),
    ],
)
def test_what_cannot_be_is_one_line(typed, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", *typed])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_more_gpus_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(HeadstartError, match="--devices 4: torch sees 1 GPU here"), running(Options(devices=4)):
        pass


def test_processes_of_torchrun_are_as_many_as_were_asked_for(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    with pytest.raises(HeadstartError, match="torchrun started 4 processes, and --devices says 2: give the same"):
        processes._by_torchrun(2)


def test_a_batch_that_is_too_small_for_all_of_them_is_refused(uneven, tmp_path):
    (trial,) = trials_in(tmp_path, "base-cnn")
    strategy = with_recipe(trial.candidate.strategy, batch_size=1)
    trial = replace(trial, candidate=replace(trial.candidate, strategy=strategy))
    with pytest.raises(HeadstartError, match="--devices 2: batches have 1 images here, too few"):
        run([trial], uneven, 2)
