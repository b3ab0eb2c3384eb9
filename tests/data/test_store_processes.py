"""The store of decoded images where several processes fill it, and any of them is killed."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from pictures import plant
from stores import opened, same

from headstart.data import store
from headstart.data.dataset import digests_of
from headstart.data.load import load
from headstart.data.store import Reading
from headstart.errors import HeadstartError
from headstart.options import LETTERBOX
from headstart.results.files import sha256
from headstart.runtime.cache import cache_dir

KILLS = 8


def test_several_processes_give_what_one_gives(photos, monkeypatch):
    alone = opened(photos)
    shutil.rmtree(cache_dir())
    monkeypatch.setattr(store, "SMALL", 0)
    monkeypatch.setattr(store, "CHUNK", 7)
    together = opened(photos)
    assert together.decoded == 60
    assert same(alone, together)


def test_a_process_whose_parent_was_killed_writes_nothing_any_more(photos, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = tmp_path / "rows.bin"
    kept.write_bytes(bytes(40 * 40 * 3))
    photo = photos / "cat" / "0.png"
    arguments = ([photo], [sha256(photo)], 0, kept, np.array([0]), (1, 40, 40, 3), Reading(40, LETTERBOX))
    with pytest.raises(HeadstartError, match="nobody waits"):
        store._read_chunk(*arguments, ended.pid)
    assert not any(kept.read_bytes())
    store._read_chunk(*arguments, os.getpid())
    assert any(kept.read_bytes())


CHECK = """
import sys
from headstart.cli import main
from headstart.runtime import rows
rows.COMMIT_SECONDS = 0
main(["check", *sys.argv[1:]])
"""


def check_in_a_process(photos: Path, cache: Path) -> subprocess.Popen[str]:
    """`headstart check`, whose rows are committed chunk by chunk, few as they are."""
    command = [sys.executable, "-c", CHECK, str(photos)]
    environment = os.environ | {"HEADSTART_CACHE": str(cache)}
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def test_two_processes_that_want_the_same_folder_decode_each_file_once(photos, monkeypatch, tmp_path):
    both = [check_in_a_process(photos, tmp_path / "shared") for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    read = [int(number) for _, errors in said for number in re.findall(r"reading (\d+) files", errors)]
    assert sum(read) == 60, said
    alone = opened(photos)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "shared"))
    together = opened(photos)
    assert together.decoded == 0
    assert same(alone, together)


def kept(cache: Path) -> int:
    """How many files are known in a cache."""
    for index in cache.glob("images/*/index.sqlite"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(index)) as rows:
            return rows.execute("SELECT count(*) FROM rows").fetchone()[0]
    return 0


def fingerprint_of(photos: Path) -> str:
    """The fingerprint of a folder, all of which was decoded before; its rows must hold what the index says of them."""
    dataset = load(photos)
    assert np.array_equal(digests_of(dataset.images), dataset.digests)
    return dataset.fingerprint


def test_killing_a_check_at_any_moment_and_running_again_ends_right(tmp_path, monkeypatch):
    """SIGKILL before and while files are decoded, of the command alone or with its workers; one cache for all tries."""
    photos = plant(tmp_path / "photos", {"cat": 400, "dog": 400})  # more than one process reads alone
    started = time.perf_counter()
    whole = check_in_a_process(photos, tmp_path / "reference")
    assert whole.stderr.readline().startswith("reading 800 files")
    seconds = time.perf_counter() - started
    expected, _ = whole.communicate()
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "reference"))
    reference = fingerprint_of(photos)
    cache, chance = tmp_path / "cache", random.Random(0)
    monkeypatch.setenv("HEADSTART_CACHE", str(cache))
    workers = None
    for kill in range(KILLS):
        if kept(cache) == 800:
            assert fingerprint_of(photos) == reference
            shutil.rmtree(cache)  # begin again, or there would be nothing to interrupt
        process = check_in_a_process(photos, cache)
        if kill % 4:
            enough = chance.randrange(kept(cache), 800)
            while kept(cache) <= enough and process.poll() is None:
                time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.05 if kill % 4 else seconds))
        if kill % 2:
            process.kill()
        else:
            end(process.pid)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        end(workers)
        workers = process.pid  # that may live on, beside the next command
    last = check_in_a_process(photos, cache)
    found, errors = last.communicate()
    assert (last.returncode, found) == (whole.returncode, expected), errors
    assert fingerprint_of(photos) == reference
    end(workers)


def end(group: int | None) -> None:
    with suppress(ProcessLookupError):
        if group is not None:
            os.killpg(group, signal.SIGKILL)
