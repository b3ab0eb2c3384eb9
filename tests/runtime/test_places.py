"""A place that cannot be written is found before anything is read, and one that fills up is one line.

Disks are real where they may be mounted (as root on Linux); a limit of the size of files stands in elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from headstart.cli import main
from headstart.data.decode import fitted
from headstart.data.resized import images_at
from headstart.errors import HeadstartError, MachineError
from headstart.runtime.cache import cache_dir, entries, kept_table, make_room
from headstart.runtime.places import cache_place, refuse_unwritable, why_unwritable
from headstart.runtime.rows import RowTable

Mounted = Callable[[str], Path]


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    """A function that mounts a disk in memory with these options; skips where that is not allowed."""
    places = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no disk may be mounted here")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)


def a_file(tmp_path: Path, mounted: Mounted) -> Path:
    (tmp_path / "file").write_text("mine")
    return tmp_path / "file" / "below"


def full(tmp_path: Path, mounted: Mounted) -> Path:
    return mounted("size=512k") / "runs" / "new"


def read_only(tmp_path: Path, mounted: Mounted) -> Path:
    return mounted("size=4m,ro")


def too_long(tmp_path: Path, mounted: Mounted) -> Path:
    return tmp_path / ("x" * 300)


PLACES = {a_file: "is no folder", full: "No space left", read_only: "Read-only", too_long: "File name too long"}


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    kind, tmp_path, mounted, monkeypatch, capsys
):
    place = kind(tmp_path, mounted)
    for home in ("headstart.experiments.compare.load", "headstart.data.load.load"):
        monkeypatch.setattr(home, lambda *args, **options: pytest.fail("data was asked for first"))
    for command in ("compare", "learning-curve", "show"):
        with pytest.raises(SystemExit) as ended:
            main([command, "photos", "--output", str(place)])
        (line,) = capsys.readouterr().err.splitlines()
        assert ended.value.code in (1, 2)
        assert PLACES[kind] in line or "not an empty folder" in line
        assert str(place) in line
    assert not os.path.lexists(place) or not list(place.iterdir())


def test_a_place_that_is_not_there_yet_is_tried_and_nothing_is_left(tmp_path):
    refuse_unwritable(tmp_path / "a" / "b", "name another")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"file/a cannot be written, .*file is no folder: name another"):
        refuse_unwritable(tmp_path / "file" / "a", "name another")
    assert why_unwritable(tmp_path / "file") is None  # it may be replaced


@pytest.mark.parametrize("kind", [a_file, read_only, full], ids=lambda kind: kind.__name__)
def test_what_cannot_be_cached_is_computed_and_that_is_said_once(kind, tmp_path, mounted, monkeypatch, capsys):
    import pandas as pd

    place = kind(tmp_path, mounted)
    monkeypatch.setenv("HEADSTART_CACHE", str(place))
    for name in ("one", "two"):
        assert len(kept_table("photos", name, "key", lambda: pd.DataFrame({"a": [1, 2]}))) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "cannot be written" in line]
    assert len(lines) == 1
    assert cache_dir() != cache_place() == place
    assert entries() == []


@pytest.mark.parametrize("name", ["cifar10/cifar-10.bin", "probes/engine-1.json"])
def test_what_a_cache_that_is_read_only_has_of_downloads_and_measurements_is_used(name, mounted, monkeypatch):
    place = mounted("size=4m")
    (place / name).parent.mkdir()
    (place / name).write_text("content")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    monkeypatch.setenv("HEADSTART_CACHE", str(place))
    assert (cache_dir() / name).read_text() == "content"


def test_without_a_cache_and_a_temporary_folder_there_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(HeadstartError, match=r"neither the cache .* nor a temporary folder"):
        cache_dir()


@pytest.mark.parametrize("home", [{"HOME": "~"}, {"HOME": "/proc/none"}, {"HOME": ""}])
def test_without_a_home_the_cache_is_somewhere_else(home, tmp_path):
    variables = {key: value for key, value in os.environ.items() if key not in ("HEADSTART_CACHE", "XDG_CACHE_HOME")}
    code = "from headstart.runtime.cache import cache_dir; print(cache_dir())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables | home, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr
    assert Path(done.stdout.strip()).is_absolute()
    assert list(tmp_path.iterdir()) == []


def test_rows_on_a_disk_that_has_no_room_are_an_error_and_no_end_of_the_process(mounted, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(mounted("size=4m")))
    monkeypatch.setattr("headstart.runtime.rows.make_room", lambda wanted: None)  # the disk fills after it was asked
    table = RowTable("images", "photos", {}, (1024, 1024), "uint8")
    with pytest.raises(OSError, match="No space left"), table.filling([str(row) for row in range(8)]):
        pytest.fail("there is room")
    with table.filling(["0"]) as fill:
        fill.values[fill.rows[0]] = 1
        fill.keep([0])
    assert table.known(["0", "1"]).tolist() == [True, False]


@pytest.mark.parametrize("left", [0, 10, 60, 300])
def test_what_a_full_cache_does_not_take_is_made_without_it(left, tiny, mounted, monkeypatch, capsys):
    """left: kilobytes that others leave of the cache's disk, once it was found to be one that can be written."""
    monkeypatch.setenv("HEADSTART_CACHE", str(mounted("size=1500k")))
    expected = [fitted(pixels, 16, tiny.fit) for pixels in tiny.images]
    place = cache_dir()
    with suppress(OSError):
        (place / "others").write_bytes(bytes(1024 * (1500 - left)))
    images, rows = images_at(tiny, np.arange(len(tiny.images)), 16)
    assert (images[rows] == expected).all()
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("cannot be written") == (left < 300)
    assert (cache_dir() == place) == (left == 300)
    (place / "others").unlink()


def test_what_was_not_used_for_longest_goes_where_the_disk_is_full(mounted, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(mounted("size=4m")))
    old = cache_dir() / "images" / "old"
    old.mkdir(parents=True)
    (old / "rows.bin").write_bytes(bytes(3 * 2**20))
    make_room(2 * 2**20)
    assert not old.exists()


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_index_of_the_cache_is_made_anew_and_that_is_said(damage, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    monkeypatch.setattr("headstart.runtime.rows._LOOKED_AT", set())
    table = RowTable("images", "photos", {}, (2,), "uint8")
    (table.folder / "index.sqlite").write_bytes(damage)
    monkeypatch.setattr("headstart.runtime.rows._LOOKED_AT", set())
    again = RowTable("images", "photos", {}, (2,), "uint8")
    assert "index.sqlite is damaged" in capsys.readouterr().err
    with again.filling(["a"]) as fill:
        fill.values[fill.rows[0]] = (1, 2)
        fill.keep([0])
    assert again.values()[again.find(["a"])[0]].tolist() == [1, 2]


def test_folders_of_others_in_the_cache_are_neither_told_of_nor_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    theirs = tmp_path / "project" / ".git"
    theirs.mkdir(parents=True)
    os.utime(theirs, (0, 0))
    (tmp_path / "project" / "thesis.txt").write_text("mine")
    make_room(1)
    main(["cache", "clear"])
    assert theirs.is_dir()
    assert (tmp_path / "project" / "thesis.txt").read_text() == "mine"


LIMITED = """
import resource, sys
sys.path.insert(0, "tests")
from small_data import CLASS_NAMES, coloured_part, dataset_of
import headstart as hs
from headstart.results import runs
written = runs.write_history
def then_full(folder, rows):
    written(folder, rows)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
runs.write_history = then_full
data = dataset_of("tiny", CLASS_NAMES, *(coloured_part(n, 32, seed) for seed, n in enumerate((96, 30, 30))))
try:
    hs.compare(data, strategies=["base-cnn"], epochs=1, seed=[0, 1], device="cpu", output=sys.argv[1])
except hs.HeadstartError as error:
    print(f"{error} | {error.__notes__[0]}")
"""


def test_a_disk_that_fills_while_a_run_is_saved_says_what_is_kept(tmp_path):
    place = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(place)], capture_output=True, text=True, check=True)
    assert "a file is larger than may be written here" in done.stdout
    assert f"no run was finished: the same with --output {place} goes on" in done.stdout
    assert not list(place.glob("base-cnn/*")), "no part of a run is left"
