"""The store of decoded images: whole or not there, whoever else makes it and whenever a maker is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture, plant

from headstart.data import store
from headstart.data.listing import scan
from headstart.data.store import open_store
from headstart.runtime.cache import cache_dir

KILLS = 20


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return plant(tmp_path / "photos", {"cat": 30, "dog": 30})


def test_a_second_opening_reads_no_file(photos, monkeypatch):
    first = open_store(scan(photos))
    monkeypatch.setattr(store, "read_file", lambda path: pytest.fail(f"{path} was read again"))
    again = open_store(scan(photos))
    assert np.array_equal(first.images, again.images)
    assert first.files.equals(again.files)


@pytest.mark.parametrize("change", ["content", "added", "removed"])
def test_a_changed_folder_is_read_anew(photos, change):
    before = open_store(scan(photos))
    if change == "content":
        (photos / "cat" / "0.png").write_bytes(encoded(picture(999), "PNG"))
    elif change == "added":
        plant(photos, {"bird": 3}, first_seed=500)
    else:
        (photos / "cat" / "0.png").unlink()
    after = open_store(scan(photos))
    assert not np.array_equal(before.images, after.images)
    assert len(after.images) == {"content": 60, "added": 63, "removed": 59}[change]


def test_several_processes_give_what_one_gives(photos, monkeypatch):
    alone = open_store(scan(photos))
    shutil.rmtree(cache_dir())
    monkeypatch.setattr(store, "SMALL", 0)
    monkeypatch.setattr(store, "CHUNK", 7)
    together = open_store(scan(photos))
    assert np.array_equal(alone.images, together.images)
    assert alone.files.equals(together.files)


def check_in_a_process(photos: Path, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headstart", "check", str(photos)]
    environment = os.environ | {"HEADSTART_CACHE": str(cache)}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def kept_by(cache: Path) -> dict[str, bytes]:
    """Everything finished in a cache: hidden entries are unfinished, or locks."""
    files = (path for path in cache.rglob("*") if path.is_file())
    return {
        str(path.relative_to(cache)): path.read_bytes()
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(cache).parts)
    }


def test_two_processes_that_make_the_same_store_get_the_same(photos, tmp_path):
    one, two = (check_in_a_process(photos, tmp_path / "shared") for _ in range(2))
    said = [process.communicate() for process in (one, two)]
    assert one.returncode == two.returncode == 0, said
    check_in_a_process(photos, tmp_path / "alone").communicate()
    assert kept_by(tmp_path / "shared") == kept_by(tmp_path / "alone")


def test_killing_a_check_at_any_moment_and_running_again_ends_right(tmp_path):
    """SIGKILL for the command and its workers, at moments spread over a whole run; one cache for all tries."""
    photos = plant(tmp_path / "photos", {"cat": 400, "dog": 400})  # more than one process reads alone
    started = time.perf_counter()
    whole = check_in_a_process(photos, tmp_path / "reference")
    expected, _ = whole.communicate()
    seconds = time.perf_counter() - started
    chance = random.Random(0)
    killed = 0
    while killed < KILLS:
        if list((tmp_path / "cache" / "decoded").glob("[!.]*")):
            shutil.rmtree(tmp_path / "cache")  # it was finished: begin again, or there would be nothing to interrupt
        process = check_in_a_process(photos, tmp_path / "cache")
        time.sleep(seconds * chance.uniform(0.4, 1.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        else:
            seconds *= 0.9  # the machine was busier before
        process.communicate()
    last = check_in_a_process(photos, tmp_path / "cache")
    found, errors = last.communicate()
    assert (last.returncode, found) == (whole.returncode, expected), errors
    assert kept_by(tmp_path / "cache") == kept_by(tmp_path / "reference")
