"""Trials on a cluster: the same comparison as here, whoever finishes first and whoever dies."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_data import CLASS_NAMES, coloured_part

import headstart as hs
from headstart.errors import HeadstartError, MachineError
from headstart.experiments.runners import RUNNERS
from headstart.experiments.trial import Setting, Trial
from headstart.options import RUNNERS as NAMES
from headstart.results import runs
from headstart.results.packed import OF_A_RUN, pack, unpack
from headstart.results.verification import verify
from headstart.strategies import candidates_of, with_epochs

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
from headstart.experiments import cluster, node  # noqa: E402 - needs distributed

OPTIONS = {"strategies": ["base-cnn"], "epochs": 2, "device": "cpu", "image_size": 32}


def test_every_runner_that_can_be_asked_for_is_a_row():
    assert tuple(RUNNERS) == NAMES


class TestARunFolderAsBytes:
    @pytest.fixture
    def files(self):
        return {name: name.encode() for name in OF_A_RUN}

    def test_is_the_same_folder_again(self, tmp_path, files):
        run = unpack(files, tmp_path / "base-cnn" / "holdout-seed0")
        assert pack(run.folder) == files
        assert sorted(path.name for path in run.folder.iterdir()) == sorted(OF_A_RUN)

    @pytest.mark.parametrize("odd", ["../escaped", "/escaped", "a/b", ".hidden", ""])
    def test_is_refused_whole_with_a_name_that_no_run_has(self, tmp_path, files, odd):
        with pytest.raises(HeadstartError, match="is no run folder"):
            unpack(files | {odd: b""}, tmp_path / "inner" / "run")
        assert list(tmp_path.iterdir()) == []

    def test_is_refused_whole_where_a_file_is_missing_or_no_bytes(self, tmp_path, files):
        for broken in (dict(list(files.items())[1:]), files | {runs.MODEL: "text"}):
            with pytest.raises(HeadstartError, match="is no run folder"):
                unpack(broken, tmp_path / "run")
        assert list(tmp_path.iterdir()) == []


def test_a_runner_that_is_not_installed_is_named_with_what_brings_it(monkeypatch, tmp_path):
    monkeypatch.setattr("headstart.experiments.runners.find_spec", lambda name: None)
    with pytest.raises(HeadstartError, match=r"pip install 'headstart\[cluster\]'"):
        hs.compare("cifar10", runner="dask", output=tmp_path / "out")


def test_a_trial_whose_worker_died_goes_on_elsewhere_with_its_last_checkpoint(tiny, tmp_path, monkeypatch, capfd):
    (candidate,) = candidates_of([with_epochs(hs.STRATEGIES["base-cnn"], 3)], [None])
    trial = Trial(candidate, "holdout", 0, Setting(tmp_path / "out", "cpu"))
    told: list[object] = []

    def worker(dies_at):
        def log_event(comparison, event):
            told.append(event[1])
            if event[1] is not None and event[1]["epoch"] == dies_at:
                raise OSError("the machine is gone")

        task = SimpleNamespace(state="executing")
        state = SimpleNamespace(nthreads=torch.get_num_threads(), tasks={"key": task})
        found = SimpleNamespace(state=state, local_directory=str(tmp_path), log_event=log_event)
        return SimpleNamespace(get_current_task=lambda: "key", **vars(found))

    def work(dies_at=None):
        monkeypatch.setattr(node, "get_worker", lambda: worker(dies_at))
        return node.work("of this test", 0, trial)

    monkeypatch.setattr("headstart.training.checkpoint.SHARE", float("inf"))  # one an epoch
    monkeypatch.setitem(node._HELD, "of this test", tiny)
    whole = work()  # where nobody sees the folder
    assert not trial.setting.folder.exists()
    mark = node.mark_of(trial.setting.folder, "of this test")
    mark.parent.mkdir(parents=True)
    mark.touch()
    with pytest.raises(OSError, match="is gone"):
        work(dies_at=3)
    told.clear()
    assert work()[runs.MODEL] == whole[runs.MODEL]
    assert "goes on after epoch 2" in capfd.readouterr().err
    assert [path for path in mark.parent.rglob("*") if path.is_file()] == [mark]


class TestCourse:
    """Which runs are kept and which are dropped, without a cluster."""

    @pytest.fixture
    def course(self, monkeypatch, tmp_path):
        class Done(SimpleNamespace):
            status = "finished"

            def result(self):
                return self.files

            def release(self):
                pass

            def cancel(self):
                self.status = "cancelled"

        kept: list[str] = []

        def unpacked(files, place):
            kept.append(place.name)
            return SimpleNamespace(metrics={}, history=SimpleNamespace(to_dict=lambda how: []))

        @contextmanager
        def untracked(*args):
            yield SimpleNamespace(row=lambda row: None, result=lambda run: None)

        @contextmanager
        def shown(job):
            yield

        monkeypatch.setattr(cluster, "Future", Done)
        monkeypatch.setattr(cluster, "unpack", unpacked)
        monkeypatch.setattr(cluster, "tell", lambda trial, metrics: None)
        monkeypatch.setattr(cluster, "tracking", untracked)

        def made(order, is_dropped):
            names = [(fold, name) for fold in ("fold1", "fold2") for name in ("a", "b")]
            trials = [
                SimpleNamespace(
                    name=f"{name}/{fold}",
                    split=fold,
                    folder=Path(f"{name}-{fold}"),
                    setting=SimpleNamespace(folder=tmp_path),
                    candidate=SimpleNamespace(name=name),
                )
                for fold, name in names
            ]
            jobs = [SimpleNamespace(is_over=False, done=0.0, told=0.0) for _ in trials]
            board = SimpleNamespace(running=shown)
            tracked = SimpleNamespace(loggers={})
            kept.clear()
            course = cluster.Course(trials, jobs, board, tracked, lambda run: None, lambda each: is_dropped(each, kept))
            course.begin(4, lambda number, trial: Done(files={}))
            for number in order:
                course.hear(number, Done(files={}))
            return course, list(kept)

        return made

    @staticmethod
    def is_b_after_fold1(trial, kept):
        return trial.name == "b/fold2" and {"a-fold1", "b-fold1"} <= set(kept)

    @pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (3, 0, 2, 1)])
    def test_who_is_dropped_does_not_depend_on_who_finished_first(self, course, order):
        made, kept = course(order, self.is_b_after_fold1)
        assert sorted(kept) == ["a-fold1", "a-fold2", "b-fold1"]
        assert not made.left and not made.missing

    def test_a_run_of_a_later_fold_waits_for_those_before(self, course):
        made, kept = course((2, 3, 0), self.is_b_after_fold1)
        assert kept == ["a-fold1"]
        assert made.left == {1, 2, 3}


@pytest.fixture(scope="module")
def few():
    images, labels = coloured_part(60, 32, 0)
    return hs.from_arrays(images, labels, CLASS_NAMES, name="few")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A cluster of two processes, one thread each, whose cache is not this one's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("theirs")))
        with dask.config.set({"distributed.nanny.pre-spawn-environ": {}}):  # else OMP_NUM_THREADS is 1 here, for good
            two = distributed.LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
    with two, dask.config.set({"scheduler-address": two.scheduler_address}):  # as DASK_SCHEDULER_ADDRESS says it
        yield two.scheduler


@pytest.fixture
def one_thread():
    """As many as each of the workers has: another number gives other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_cluster_gives_what_this_machine_gives_also_where_a_worker_dies(
    few, scheduler, one_thread, tmp_path, monkeypatch, capsys
):
    options = OPTIONS | {"seed": [0, 1, 2], "folds": "none"}
    here = hs.compare(few, **options, output=tmp_path / "here")
    killed = []

    def kill(*arguments):
        for worker in list(scheduler.workers.values()) if not killed else ():
            if worker.processing:
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
                break
        return told(*arguments)

    told = cluster.Course.hear
    monkeypatch.setattr(cluster.Course, "hear", kill)  # at the first thing that is heard: a trial has begun
    there = hs.compare(few, **options, runner="dask", output=tmp_path / "there")
    assert killed and verify(there.folder) == []
    assert "images were sent to" in capsys.readouterr().err
    for one, other in zip(here.runs, there.runs, strict=True):
        assert one.model.read_bytes() == other.model.read_bytes()
        assert np.array_equal(one.predictions()[0], other.predictions()[0])
    assert there.table()["accuracy"].equals(here.table()["accuracy"])


def test_a_trial_that_fails_is_said_and_the_others_are_kept_and_gone_on_with(
    few, scheduler, one_thread, tmp_path, monkeypatch, capsys
):
    options = OPTIONS | {"seed": [0, 1], "folds": "none", "output": tmp_path / "out"}
    with monkeypatch.context() as patch:
        begin = cluster.Course.begin

        def begin_with_a_fault(self, most, start):
            def faulty(number, trial):
                return start(number, replace(trial, split="no such") if trial.seed == 1 else trial)

            begin(self, most, faulty)

        patch.setattr(cluster.Course, "begin", begin_with_a_fault)
        with pytest.raises(MachineError, match="1 of 2 runs are missing: base-cnn/holdout-seed1"):
            hs.compare(few, **options, runner="dask")
    assert "base-cnn/holdout-seed1 failed: few has no split 'no such'" in capsys.readouterr().err
    assert [run.seed for run in runs.find_runs(tmp_path / "out")] == [0]
    assert hs.compare(few, **options).is_complete  # by the other runner


def test_workers_of_another_version_are_left_out_and_named(few, scheduler, tmp_path, monkeypatch, capsys):
    get_versions = distributed.Client.get_versions

    def newer_here(self, **how):
        found = get_versions(self, **how)
        return found | {"client": {"packages": found["client"]["packages"] | {"torch": "99.0"}}}

    monkeypatch.setattr(distributed.Client, "get_versions", newer_here)
    with pytest.raises(HeadstartError, match=r"no worker of the cluster at .* can be used; .*: it has torch"):
        hs.compare(few, **OPTIONS, folds="none", runner="dask", output=tmp_path / "out")
    assert capsys.readouterr().err.count("is left out: it has torch") == 2


def test_an_address_where_nothing_answers_is_one_line_before_anything_is_begun(tmp_path):
    nowhere = {"scheduler-address": "tcp://127.0.0.1:1", "distributed.comm.timeouts.connect": "1s"}
    with dask.config.set(nowhere), pytest.raises(HeadstartError, match=r"no Dask scheduler at tcp://127.0.0.1:1 "):
        hs.compare("cifar10", **OPTIONS, runner="dask", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
