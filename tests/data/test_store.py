"""The store of decoded images: each content decoded once, whoever wants it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture, plant
from stores import opened, same

from headstart.data import store
from headstart.data.listing import scan
from headstart.data.store import open_store
from headstart.errors import HeadstartError
from headstart.options import CROP, FITS, LETTERBOX, STRETCH, Options
from headstart.runtime.cache import cache_dir


def test_a_second_opening_reads_no_file(photos, monkeypatch):
    first = opened(photos)
    assert first.decoded == 60
    for reader in ("read_image", "_hash"):
        monkeypatch.setattr(store, reader, lambda path, whites=None: pytest.fail(f"{path} was read again"))
    again = opened(photos)
    assert again.decoded == 0
    assert same(first, again)


def test_of_added_files_these_alone_are_decoded(photos, monkeypatch):
    before = opened(photos)
    plant(photos, {"bird": 3}, first_seed=500)
    decoded = []
    read = store.read_image
    monkeypatch.setattr(
        store, "read_image", lambda path, whites: decoded.append(path.parent.name) or read(path, whites)
    )
    after = opened(photos)
    assert decoded == ["bird"] * 3
    assert after.decoded == 3
    assert np.array_equal(after.images[3:], before.images[:])


def test_of_removed_files_the_others_are_still_known(photos):
    before = opened(photos)
    (photos / "cat" / "0.png").unlink()
    after = opened(photos)
    assert after.decoded == 0
    assert np.array_equal(after.images[:], before.images[1:])


def touch(photos: Path) -> Path:
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    return photos


def rename(photos: Path) -> Path:
    for path in list(photos.rglob("*.png")):
        path.rename(path.with_name(f"a{path.name}"))
    return photos.rename(photos.with_name("renamed"))


def copy(photos: Path) -> Path:
    return Path(shutil.copytree(photos, photos.with_name("copy")))


@pytest.mark.parametrize("change", [touch, rename, copy])
@pytest.mark.parametrize("collection", ["photos", "another"])
def test_files_that_were_touched_renamed_or_copied_are_not_decoded_again(photos, change, collection):
    before = opened(photos)
    after = open_store(scan(change(photos)), collection, Options().fit)
    assert after.decoded == 0
    assert same(before, after)


@pytest.mark.parametrize("disguised", [False, True], ids=["openly", "with its old size and time"])
def test_a_file_with_another_content_is_decoded(photos, disguised):
    path = photos / "cat" / "0.png"
    path.write_bytes(first := encoded(picture(0), "BMP"))
    before, status = opened(photos), path.stat()
    path.write_bytes(second := encoded(picture(999), "BMP"))
    assert len(first) == len(second)
    if disguised:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = opened(photos)
    assert after.decoded == 1
    assert not np.array_equal(before.images[0], after.images[0])
    assert np.array_equal(before.images[1:], after.images[1:])


def test_a_content_is_decoded_once_however_many_files_have_it(photos):
    for number in range(5):
        shutil.copy(photos / "cat" / "0.png", photos / "dog" / f"copy-{number}.png")
    found = opened(photos)
    assert len(found.images) == 65
    assert found.decoded == 60


def test_two_files_that_change_places_keep_their_images(photos):
    before = opened(photos)
    cat, dog = photos / "cat" / "0.png", photos / "dog" / "0.png"
    cat.rename(photos / "kept")
    dog.rename(cat)
    (photos / "kept").rename(dog)
    after = opened(photos)
    assert after.decoded == 0
    assert np.array_equal(after.images[[0, 30]], before.images[[30, 0]])


def test_what_is_wrong_with_a_damaged_file_is_known_the_next_time(photos, monkeypatch):
    (photos / "cat" / "cut.jpg").write_bytes(encoded(picture(1), "JPEG")[:-100])
    first = opened(photos)
    assert first.decoded == 61
    assert first.files["error"].str.startswith("damaged").sum() == 1
    monkeypatch.setattr(store, "read_image", lambda path, whites=None: pytest.fail(f"{path} was read again"))
    assert same(first, opened(photos))


@pytest.mark.parametrize("failure", [MemoryError(), OSError(24, "Too many open files")], ids=["memory", "files"])
def test_what_failed_for_want_of_this_machine_is_tried_again(photos, monkeypatch, failure):
    monkeypatch.setattr(store, "cpu_count", lambda: 1)

    def fails(path, *args):
        if path.name == "0.png":
            raise failure
        return is_file(path, *args)

    with monkeypatch.context() as patch:
        is_file = Path.is_file
        patch.setattr(Path, "is_file", fails)
        first = opened(photos)
    assert (first.files["error"] != "").sum() == 2
    again = opened(photos)
    assert again.decoded == 2 and (again.files["error"] == "").all()


def test_a_file_that_was_put_right_is_read(photos):
    path = photos / "cat" / "0.png"
    whole = path.read_bytes()
    for bad, why in ((b"", "empty"), (whole[:-60], "damaged"), (b"<!DOCTYPE html>", "HTML")):
        path.write_bytes(bad)
        assert why in opened(photos).files["error"].iloc[0]
    path.write_bytes(whole)
    assert opened(photos).files["error"].iloc[0] == ""


def sized(folder: Path, sides: list[int], first: int = 0) -> Path:
    for number, side in enumerate(sides, first):
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            seed = 2 * number + (name == "dog")
            (folder / name / f"{number}.png").write_bytes(encoded(picture(seed, side, side // 2), "PNG"))
    return folder


@pytest.mark.parametrize(
    ("sides", "side"),
    [([60] * 20 + [90] * 15, 60), (list(range(50, 110, 3)), 64), ([300] * 20, 224), ([12] * 20, 32)],
    ids=["most are alike", "all differ", "large", "small"],
)
def test_the_side_stays_when_a_few_photos_of_other_sizes_are_added(tmp_path, sides, side):
    before = opened(sized(tmp_path, sides))
    after = opened(sized(tmp_path, [35, 40, 200], first=len(sides)))
    assert before.images.shape[1] == after.images.shape[1] == side
    assert after.decoded == 6


def test_another_size_is_kept_beside_the_first(photos):
    first, smaller = opened(photos), opened(photos, image_size=36)
    assert smaller.images.shape[1] == 36
    assert smaller.decoded == 60
    assert opened(photos).decoded == opened(photos, image_size=36).decoded == 0
    assert same(first, opened(photos, image_size=400))


def test_each_fit_is_kept_beside_the_others(photos):
    stores = [opened(photos, fit=fit) for fit in FITS]
    assert [store.decoded for store in stores] == [60, 60, 60]
    assert [opened(photos, fit=fit).decoded for fit in FITS] == [0, 0, 0]
    squares = [set(store.files["square"]) for store in stores]
    assert not squares[0] & squares[1] and not squares[1] & squares[2]


def test_a_crop_is_kept_at_the_short_side_of_most_photos(tmp_path):
    folder = sized(tmp_path, [120] * 20)  # 120 x 60
    assert [opened(folder, fit=fit).images.shape[1] for fit in (CROP, STRETCH, LETTERBOX)] == [60, 120, 120]


def remove(photo: Path) -> None:
    photo.unlink()


def replace(photo: Path) -> None:
    shutil.copyfile(photo.with_name("8.png"), photo)


def cut(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:60])


@pytest.mark.parametrize("change", [remove, replace, cut])
def test_a_file_that_changes_while_it_is_read_is_named_and_keeps_no_image_of_another(photos, change, monkeypatch):
    expected = opened(photos)
    shutil.rmtree(cache_dir())
    photo, read = photos / "cat" / "7.png", store.read_image
    content = photo.read_bytes()

    def changing(path, whites):
        if path == photo:
            change(path)
        return read(path, whites)

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_image", changing)
        with pytest.raises(HeadstartError, match=r"cat/7\.png was replaced or removed while it was read: run again"):
            opened(photos)
    photo.write_bytes(content)
    assert same(opened(photos), expected)


def test_a_damaged_list_of_files_is_made_anew_and_that_is_said(photos, capsys):
    before = opened(photos)
    (cache_dir() / "files" / "seen.sqlite").write_bytes(b"no database" * 1000)
    after = opened(photos)
    assert "seen.sqlite is damaged" in " ".join(capsys.readouterr().err.split())
    assert after.files.equals(before.files) and not after.decoded
