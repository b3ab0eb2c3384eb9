from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from headstart.runtime import console
from headstart.runtime.console import Job, live, note, say, seconds_left

ROW = {"epoch": 1, "seconds": 10.0, "val_accuracy": 0.8125}


@pytest.fixture
def terminal(monkeypatch) -> io.StringIO:
    """What a terminal of 80 x 12 characters is sent."""
    screen = io.StringIO()
    shown = Console(file=screen, force_terminal=True, no_color=True, width=80, height=12)
    monkeypatch.setattr(console, "console", shown)
    monkeypatch.delenv("TERM", raising=False)
    return screen


def lines(screen: io.StringIO) -> list[str]:
    """What was shown last, without the terminal's control sequences."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue().replace("\r", "\n"))
    return [line.strip() for line in plain.splitlines() if line.strip()]


def job(name: str, epochs: int, **how: Any) -> Job:
    """The only run of its strategy."""
    return Job(name, name, epochs, **how)


def test_the_time_left_is_unknown_until_every_strategy_to_come_has_trained_an_epoch():
    jobs = [job("base-cnn", 4, done=1), job("last20", 2)]
    assert seconds_left(jobs, {"base-cnn": 3.0}) is None
    assert seconds_left(jobs, {"base-cnn": 3.0, "last20": 50.0}) == 3 * 3 + 2 * 50


def test_a_run_that_stopped_early_has_no_time_left_and_needs_no_measurement():
    jobs = [job("base-cnn", 9, done=5, is_over=True), job("last20", 2, done=0.5)]
    assert seconds_left(jobs, {"last20": 50.0}) == 75


def test_another_seed_is_expected_to_take_what_the_first_one_took():
    jobs = [job("base-cnn", 3, done=3, is_over=True), Job("base-cnn seed 1", "base-cnn", 3)]
    assert seconds_left(jobs, {"base-cnn": 4.0}) == 12


def test_a_terminal_shows_each_run_its_accuracy_and_the_time_left(terminal):
    jobs = [base := job("base-cnn", 3), job("last20", 2)]
    with live(jobs, {"last20": 60.0}) as board, board.running(base):
        board.progress.refresh()
        assert "0/5 epochs" in lines(terminal)[-1]
        board.validated(base, ROW)
        board.advance(base, 0.5)
        board.progress.refresh()
        of_base, of_last, of_all = lines(terminal)[-3:]
    assert of_base.startswith("base-cnn")
    assert "1/3 epochs" in of_base
    assert of_base.endswith("val accuracy 81.25 %")
    assert of_last.startswith("last20")
    assert "0/2 epochs" in of_last
    assert of_all.endswith("0:02:15 of training left at most")


def test_a_row_may_tell_of_several_epochs(terminal):
    only = job("base-cnn", 8)
    with live([only], {}) as board, board.running(only):
        for epoch, seconds in ((4, 40.0), (6, 30.0)):
            board.validated(only, ROW | {"epoch": epoch, "seconds": seconds})
        board.progress.refresh()
        assert "6/8 epochs" in lines(terminal)[-2]
        assert lines(terminal)[-1].endswith("0:00:30 of training left at most")


def test_a_run_that_stopped_early_is_a_full_bar(terminal):
    jobs = [base := job("base-cnn", 3), job("last20", 2)]
    with live(jobs, {"last20": 60.0}) as board:
        with board.running(base):
            board.validated(base, ROW)
        board.progress.refresh()
        of_base, _, of_all = lines(terminal)[-3:]
    assert "1/1 epochs" in of_base
    assert "1/3 epochs" in of_all
    assert of_all.endswith("0:02:00 of training left at most")


def test_a_terminal_shows_no_time_left_that_cannot_be_known(terminal):
    jobs = [base := job("base-cnn", 3), job("last20", 2)]
    with live(jobs, {}) as board, board.running(base):
        board.validated(base, ROW)
        board.progress.refresh()
        assert lines(terminal)[-1].endswith("time left not known yet")


def test_of_more_runs_than_lines_those_about_the_present_one_are_shown(terminal):
    jobs = [Job(f"base-cnn seed {seed}", "base-cnn", 1) for seed in range(30)]
    with live(jobs, {}) as board:
        board.progress.refresh()
        assert lines(terminal)[-7].startswith("base-cnn seed 0 ")
        for seed in (17, 29):
            with board.running(jobs[seed]):
                board.progress.refresh()
                shown = lines(terminal)[-7:-1]
            assert any(line.startswith(f"base-cnn seed {seed} ") for line in shown)
            assert len(shown) == 6


def test_another_bar_may_be_shown_below_the_runs(terminal):
    with live([job("frozen", 3)], {}) as board, console.bar("frozen pass", 10) as advance:
        advance(5)
        board.progress.refresh()
        assert lines(terminal)[-1].startswith("frozen pass")
        assert "50%" in lines(terminal)[-1]


def test_a_terminal_is_not_told_twice(terminal):
    note("epoch 1")
    say("base-cnn [seed 0]")
    assert lines(terminal) == ["base-cnn [seed 0]"]


def test_without_a_terminal_there_are_lines_and_nothing_else(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=screen))
    only = job("base-cnn", 3)
    with live([only], {}) as board, board.running(only):
        board.validated(only, ROW)
        note("base-cnn epoch 1/3")
    assert screen.getvalue() == "base-cnn epoch 1/3\n"


@pytest.mark.parametrize(("no_color", "is_coloured"), [("", True), ("1", False)])
def test_no_color_is_respected(no_color, is_coloured):
    code = (
        "from headstart.runtime.console import Job, live\n"
        "job = Job('base-cnn', 'base-cnn', 3)\n"
        "with live([job], {}) as board, board.running(job): board.progress.refresh()"
    )
    wanted = {"FORCE_COLOR": "1", "NO_COLOR": no_color, "TERM": "xterm-256color", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | wanted)
    assert "base-cnn" in done.stderr.decode()
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", done.stderr)) == is_coloured


def test_what_stands_between_colons_is_no_emoji():
    with console.Screen(width=80).capture() as said:
        pass
    screen = console.Screen(width=80)
    with screen.capture() as said:
        screen.print("photos/:cat:/a:100:b.jpg")
    assert said.get() == "photos/:cat:/a:100:b.jpg\n"
