from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import pytest
from pictures import encoded, picture, plant

import headstart as hs
from headstart.cli import main
from headstart.data import clean


@pytest.fixture
def photos(tmp_path):
    """Two classes of eight good pictures, and four kinds of mess."""
    root = plant(tmp_path / "photos", {"cat": 8, "dög": 8})
    (root / "cat" / "damaged.png").write_bytes((root / "cat" / "0.png").read_bytes()[:200])
    (root / "cat" / "page.jpg").write_bytes(b"<html>not found</html>")
    (root / "cat" / "a copy, of 3.bmp").write_bytes(encoded(picture(3), "BMP"))
    (root / "dög" / "4 of cat.png").write_bytes(encoded(picture(4), "PNG"))
    os.link(root / "cat" / "5.png", root / "cat" / "zz.png")
    return root


def fixed(place: Path | str, target: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["check", str(place), "--fix", str(target), *options])
    assert isinstance(end.value.code, int)
    return end.value.code


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        return list(csv.DictReader(lines))


def state(root: Path) -> dict[str, tuple[int, bytes]]:
    """All that could be changed of a folder."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def table(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_what_is_kept_of_a_messy_folder_loads_and_is_clean(photos, tmp_path, capsys):
    assert fixed(photos, tmp_path / "fixed") == 1
    assert "15 of 21 files to keep" in capsys.readouterr().out
    data = hs.load(tmp_path / "fixed" / "keep.csv")
    assert (len(data), data.class_names, dict(data.unreadable)) == (15, ("cat", "dög"), {})
    assert len(set(data.contents)) == 15
    assert not [finding for finding in data.found if finding.is_fault]


def test_every_image_is_kept_or_left_out_with_a_reason(photos, tmp_path):
    fixed(photos, tmp_path / "fixed")
    left_out = {Path(row["path"]).name: row["why"] for row in rows(tmp_path / "fixed" / "left_out.csv")}
    kept = [row["path"] for row in rows(tmp_path / "fixed" / "keep.csv")]
    every = {str(path) for path in photos.rglob("*") if path.is_file()}
    assert sorted([*kept, *(row["path"] for row in rows(tmp_path / "fixed" / "left_out.csv"))]) == sorted(every)
    assert "cannot be read: an HTML page" in left_out["page.jpg"]
    assert "cannot be read: damaged" in left_out["damaged.png"]
    assert left_out["zz.png"] == f"exact copy of one that is kept: {photos / 'cat' / '5.png'}"
    assert left_out["4.png"] == left_out["4 of cat.png"]
    assert "cat" in left_out["4.png"] and "dög" in left_out["4.png"]


def test_nothing_in_the_folder_is_changed(photos, tmp_path):
    before = state(photos)
    fixed(photos, tmp_path / "fixed")
    assert state(photos) == before


def test_the_one_that_is_kept_says_that_it_had_copies(photos, tmp_path):
    fixed(photos, tmp_path / "fixed")
    notes = {row["path"]: row["note"] for row in rows(tmp_path / "fixed" / "keep.csv") if row["note"]}
    assert notes == {str(photos / "cat" / name): "1 exact copy left out" for name in ("3.png", "5.png")}


def test_splits_are_kept_and_of_copies_across_them_the_one_in_test_stays(tmp_path):
    for place, (name, count) in enumerate((("train", 6), ("val", 3), ("test", 3))):
        plant(tmp_path / "photos" / name, {"cat": count, "dog": count}, first_seed=100 * place)
    (tmp_path / "photos" / "train" / "cat" / "leak.png").write_bytes(encoded(picture(200), "PNG"))
    fixed(tmp_path / "photos", tmp_path / "fixed")
    data = hs.load(tmp_path / "fixed" / "keep.csv")
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 12, "val": 6, "test": 6}


def test_groups_are_kept_and_can_be_given_again(tmp_path, capsys):
    root = plant(tmp_path / "photos", {"cat": 6, "dog": 6})
    (root / "cat" / "page.png").write_text("<html>")
    fixed(root, tmp_path / "fixed", "--group", r"/(\w+)\.png")
    assert "--group group" in capsys.readouterr().out
    data = hs.load(tmp_path / "fixed" / "keep.csv", group="group")
    assert data.groups is not None and set(data.groups) == set("012345")


def test_rows_of_a_table_are_kept_or_left_out_too(tmp_path):
    root = plant(tmp_path / "photos", {"cat": 4, "dog": 4})
    good = [f"photos/{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(4)]
    odd = ["photos/gone.png,cat", "photos/cat/0.png,nan", "photos/cat/1.png,cat", "photos/dog/1.png,cat"]
    place = table(tmp_path / "all.csv", "path,label", *good, *odd)
    fixed(place, tmp_path / "deep" / "fixed")
    kept, left_out = (rows(tmp_path / "deep" / "fixed" / name) for name in ("keep.csv", "left_out.csv"))
    assert (len(kept), len(left_out)) == (7, 5)
    assert {row["path"] for row in kept} == {
        str(root / f"{name}/{n}.png") for name in ("cat", "dog") for n in range(4)
    } - {str(root / "dog/1.png")}
    assert sorted(row["why"].split(":")[0] for row in left_out) == [
        *["exact copies with different labels"] * 2,
        "exact copy of one that is kept",
        "no label",
        "no such file",
    ]


def test_names_of_files_that_are_no_utf8_are_found_again(tmp_path):
    root = plant(tmp_path / "photos", {"cät": 5, "dog": 5})
    (root / "cät" / "0.png").rename(root / "cät" / os.fsdecode(b"\xe9\n.png"))
    fixed(root, tmp_path / "fixed")
    data = hs.load(tmp_path / "fixed" / "keep.csv")
    assert (len(data), data.class_names) == (10, ("cät", "dog"))


def test_a_table_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # once all of it is written, before it has its name
    with pytest.raises(OSError, match="No space left"):
        clean._write(tmp_path / clean.KEEP, ("path", "label"), [("cat.png", "cat")])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "said"),
    [("photos/fixed", "lies in"), ("photos", "lies in"), ("full", "not empty"), ("file/x", "no folder")],
)
def test_a_place_that_is_no_good_is_refused_before_anything_is_read(
    photos, tmp_path, capsys, monkeypatch, target, said
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    (tmp_path / "file").touch()
    monkeypatch.setattr("headstart.data.audit.load", lambda *_, **__: pytest.fail("it was read"))
    before = state(tmp_path)
    assert fixed(photos, tmp_path / target) == 2
    assert said in capsys.readouterr().err
    assert state(tmp_path) == before


def test_data_without_files_are_refused_in_one_line(tmp_path, capsys):
    assert fixed("cifar10", tmp_path / "fixed") == 2
    assert capsys.readouterr().err == (
        "headstart: --fix is for a folder or CSV of your own: cifar10 has no files to choose from\n"
    )
