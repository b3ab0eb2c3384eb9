"""What is kept between runs: one limit for all of it, and nothing that a process uses is ever removed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest

from headstart.cli import main
from headstart.errors import HeadstartError
from headstart.runtime.cache import cache_dir, entries, kept_table, limit_bytes, lock, make_room, open_entry, remove

MB, HOUR, DAY = 10**6, 3600, 24 * 3600
OPEN = """
import sys
from headstart.runtime.cache import open_entry
for collection in sys.argv[1:]:
    print(open_entry("images", {"collection": collection}, "key"), flush=True)
"""

pytestmark = pytest.mark.usefixtures("cache")


def process(*collections: str, code: str = "") -> subprocess.Popen[str]:
    """Another process that opens entries, and then ends or does what code says."""
    command = [sys.executable, "-c", OPEN + code, *collections]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def of_ended_process(*collections: str) -> list[Path]:
    """An entry of 1 MB of each collection, the first one not used for longest."""
    places = [Path(line) for line in process(*collections).communicate()[0].splitlines()]
    for age, place in enumerate(reversed(places), start=1):
        (place / "rows.bin").write_bytes(bytes(MB))
        unused_for(age * HOUR, place)
    return places


def unused_for(seconds: float, place: Path) -> None:
    os.utime(place, (time.time() - seconds,) * 2)


def test_the_limit_is_20_gb_unless_a_variable_says_otherwise(monkeypatch):
    assert limit_bytes() == 20e9
    for text, wanted in (("", 20e9), ("0.5", 0.5e9), ("100", 100e9)):
        monkeypatch.setenv("HEADSTART_CACHE_GB", text)
        assert limit_bytes() == wanted


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", "20 GB"])
def test_a_limit_that_is_no_number_above_0_is_refused_in_one_line(text, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_CACHE_GB", text)
    said = f"HEADSTART_CACHE_GB must be a number of gigabytes above 0, not {text!r}"
    with pytest.raises(HeadstartError, match=said):
        make_room(1)
    with pytest.raises(SystemExit) as ended:
        main(["cache"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"headstart: {said}\n"


def test_the_entries_that_were_not_used_for_longest_make_room(monkeypatch):
    places = of_ended_process("first", "second", "third", "fourth")
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.0041")
    make_room(0)
    assert all(place.exists() for place in places)
    make_room(1.5 * MB)
    assert [place.exists() for place in places] == [False, False, True, True]


def test_opening_an_entry_makes_it_the_one_used_last(monkeypatch):
    first, second = of_ended_process("first", "second")
    process("first").communicate()
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.0021")
    make_room(MB)
    assert (first.exists(), second.exists()) == (True, False)


def test_what_this_process_uses_stays_however_full_the_cache_is(monkeypatch, capsys):
    first, second = of_ended_process("first", "second")
    open_entry("images", {"collection": "first"}, "key")
    unused_for(DAY, first)
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.0005")
    make_room(0)
    assert (first.exists(), second.exists()) == (True, False)
    assert "the cache grows beyond its 0.0005 GB" in capsys.readouterr().err


def test_what_another_living_process_uses_stays_until_it_has_ended():
    [place] = of_ended_process("photos")
    user = process("photos", code="input()")
    user.stdout.readline()
    [entry] = entries()
    assert not remove(entry)
    assert place.exists()
    user.communicate("that was all\n")
    assert remove(entry)
    assert not place.exists()


def test_what_a_killed_process_used_can_be_removed():
    [place] = of_ended_process("photos")
    killed = process("photos", code="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert remove(entries()[0])
    assert not place.exists()


def test_several_processes_may_use_an_entry_and_the_last_one_keeps_it():
    of_ended_process("photos")
    users = [process("photos", code="input()") for _ in range(3)]
    for user in users:
        user.stdout.readline()
    [entry] = entries()
    for user in users:
        assert not remove(entry)
        user.communicate("that was all\n")
    assert remove(entry)


def test_the_marks_of_processes_that_ended_do_not_pile_up(cache):
    for _ in range(3):
        process("photos").communicate()
    assert len(list((cache / "images").glob(".*.use"))) == 1


def test_an_entry_that_is_being_written_or_claimed_is_not_removed():
    [place] = of_ended_process("photos")
    with lock(place):
        assert not remove(entries()[0])
    assert remove(entries()[0])


@pytest.mark.parametrize("collection", ["[a]*?", "photos.1", "猫"])
def test_an_entry_of_any_name_is_known_to_be_in_use(collection):
    open_entry("images", {"collection": collection}, "key")
    assert not remove(entries()[0])


def test_an_entry_that_a_kill_left_half_made_is_made_whole_when_it_is_opened(cache):
    (cache / "images" / "photos-key").mkdir(parents=True)
    open_entry("images", {"collection": "photos", "version": 1}, "key")
    assert entries()[0].made_by == {"collection": "photos", "version": 1}


def test_downloads_stay_and_what_earlier_versions_kept_goes(cache, monkeypatch):
    for place in ("cifar10/cifar-10.bin", "probes/engine.json", "decoded/abc/images.bin", "traits/abc.parquet"):
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        (cache / place).write_bytes(bytes(MB))
    monkeypatch.setenv("HEADSTART_CACHE_GB", "0.001")
    make_room(MB)
    assert sorted(entry.kind for entry in entries()) == ["cifar10", "probes"]


def test_a_disk_that_is_too_full_is_told_in_one_line(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10e9, 9e9, 1e9))
    make_room(0.9e9)
    with pytest.raises(HeadstartError, match=r"has 1\.0 GB free and 2\.0 GB are to go there: make room") as refusal:
        make_room(2e9)
    assert "\n" not in str(refusal.value)


def test_what_killed_processes_left_half_made_goes_after_a_day(cache):
    places = [cache / kind / f".{age}" for kind in ("images", "tables/photos") for age in ("old", "new")]
    for place in places:
        place.mkdir(parents=True)
        if place.name == ".old":
            unused_for(2 * DAY, place)
    make_room(0)
    assert [place.exists() for place in places] == [False, True] * 2


def test_entries_tell_their_kind_their_data_set_and_their_size(cache):
    of_ended_process("photos")
    kept_table("photos", "traits", "key", lambda: pd.DataFrame({"grey": [True]}))
    (cache / "cifar10").mkdir()
    (cache / "cifar10" / "cifar-10.bin").write_bytes(bytes(2 * MB))
    (cache / "probes").mkdir()
    (cache / "probes" / "engine.json").write_text("{}")
    found = {(entry.kind, entry.collection): entry.size_bytes for entry in entries()}
    assert found.keys() == {("images", "photos"), ("tables", "photos"), ("cifar10", "cifar10"), ("probes", "any")}
    assert found["cifar10", "cifar10"] == 2 * MB
    assert MB < found["images", "photos"] < 1.01 * MB


def test_a_cache_that_is_not_there_has_no_entries():
    assert not cache_dir().exists()
    assert entries() == []


def test_a_table_is_made_once_and_again_where_it_is_damaged(cache):
    made = []

    def make() -> pd.DataFrame:
        made.append(1)
        return pd.DataFrame({"row": [1, 2]})

    for _ in range(2):
        assert kept_table("photos", "pairs", "key", make)["row"].tolist() == [1, 2]
    assert len(made) == 1
    next(cache.rglob("*.parquet")).write_bytes(b"PAR1 no more")
    assert kept_table("photos", "pairs", "key", make)["row"].tolist() == [1, 2]
    assert kept_table("photos", "pairs", "other", make)["row"].tolist() == [1, 2]
    assert len(made) == 3


def test_the_command_shows_what_lies_there_by_data_set_and_kind(cache, capsys):
    of_ended_process("photos", "holiday")
    open_entry("activations", {"collection": "photos"}, "key")
    main(["cache"])
    *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["holiday", "images", "1.0", "MB"],
        ["photos", "activations", "0.0", "MB"],
        ["photos", "images", "1.0", "MB"],
    ]
    assert total == f"0.00 GB of 20 GB in {cache}"
    assert len(entries()) == 3


def test_the_command_clears_all_but_what_is_in_use(cache, capsys):
    of_ended_process("photos", "holiday")
    open_entry("images", {"collection": "photos"}, "key")
    main(["cache", "clear"])
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split() == ["holiday", "images", "1.0", "MB"]
    assert said.out.splitlines()[1] == f"0.00 GB cleared from {cache}"
    assert said.err == "in use, and kept: 1\n"
    assert [entry.collection for entry in entries()] == ["photos"]


def test_the_command_clears_what_was_not_used_for_so_long():
    old, _ = of_ended_process("old", "new")
    unused_for(31 * DAY, old)
    main(["cache", "clear", "--older-than", "30d"])
    assert [entry.collection for entry in entries()] == ["new"]
    main(["cache", "clear", "--older-than", "2h"])
    assert [entry.collection for entry in entries()] == ["new"]


def test_the_command_refuses_a_time_that_is_none(capsys):
    of_ended_process("photos")
    with pytest.raises(SystemExit) as ended:
        main(["cache", "clear", "--older-than", "long"])
    assert ended.value.code == 2
    assert "'long' is not a time such as" in capsys.readouterr().err
    assert len(entries()) == 1
