"""A folder of files as people have them: every row of the table of bad inputs, with real bytes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from pictures import bomb, encoded, picture, plant
from PIL import Image

from headstart.data.decode import BACKGROUND, PADDING
from headstart.data.load import load
from headstart.errors import HeadstartError


@pytest.fixture
def photos(tmp_path):
    """Two classes of twenty different pictures."""
    return plant(tmp_path / "photos", {"cat": 20, "dog": 20})


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(1000), "JPEG", exif=exif)


def palette_with_alpha():
    image = Image.new("P", (40, 30), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(0, (0, 0, 40, 15))
    return encoded(image, "PNG", transparency=0)


def animated():
    return encoded(picture(1001), "GIF", save_all=True, append_images=[picture(1002)])


def sixteen_bit():
    return encoded(Image.fromarray(np.full((30, 40), 257 * 100, np.uint16)), "PNG")


GOOD = {  # name -> bytes, what is told of it
    "wrong-ending.png": (encoded(picture(1003), "JPEG"), ""),
    "no-ending": (encoded(picture(1004), "WEBP"), ""),
    "cmyk.jpg": (encoded(picture(1005).convert("CMYK"), "JPEG"), "CMYK"),
    "grey.png": (encoded(picture(1006).convert("L"), "PNG"), "grey"),
    "deep.png": (sixteen_bit(), "16-bit"),
    "palette.png": (palette_with_alpha(), "transparent"),
    "animated.gif": (animated(), "first of 2 frames"),
    "rotated.jpg": (rotated(), "turned upright"),
    os.fsdecode(b"caf\xe9.png"): (encoded(picture(1007), "PNG"), ""),
    "two\nlines .png": (encoded(picture(1008), "PNG"), ""),
}
BAD = {  # name -> bytes, why it gives no image
    "truncated.jpg": (encoded(picture(1100), "JPEG")[:-200], "damaged"),
    "empty.jpg": (b"", "empty"),
    "page.jpg": (b"<!DOCTYPE html><title>404</title>", "HTML"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    "bomb.png": (bomb(), "more than 100,000,000 pixels"),
    "float.tiff": (encoded(Image.fromarray(np.full((30, 40), -1, np.float32)), "TIFF"), "black is 0"),
}


@pytest.mark.parametrize("name", GOOD)
def test_an_unusual_image_is_taken_and_what_was_done_is_told(photos, name):
    data, notice = GOOD[name]
    (photos / "cat" / name).write_bytes(data)
    dataset = load(photos)
    plain = tuple(f"/{number}.png" for number in range(20))
    (found,) = [file for file in dataset.files.itertuples() if not file.path.endswith(plain)]
    assert notice in found.notices
    assert found.path.isprintable()
    assert not dataset.unreadable


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_gives_no_image_is_left_out_with_its_path_and_reason(photos, name):
    data, reason = BAD[name]
    (photos / "cat" / name).write_bytes(data)
    dataset = load(photos, max_bad=0.1)
    assert len(dataset) == 40
    assert list(dataset.unreadable) == [f"cat/{name}"]
    assert reason in dataset.unreadable[f"cat/{name}"]
    with pytest.raises(HeadstartError, match=rf"1 of 41 files cannot be read, more than --max-bad 1%: cat/{name}"):
        load(photos)


def test_a_film_of_4_gb_among_photos_is_one_file_that_cannot_be_read(tmp_path):
    photos = plant(tmp_path / "photos", {"cat": 60, "dog": 60})
    (photos / "cat" / "clip.jpg").write_bytes(b"\0\0\0\x14ftypqt  ")
    os.truncate(photos / "cat" / "clip.jpg", 4_000_000_000)  # sparse: it takes no room
    dataset = load(photos)
    assert len(dataset) == 120
    assert dataset.unreadable == {"cat/clip.jpg": "a file of 4.0 GB: no more than 1 GB is read"}
    for number in range(2):
        (photos / "dog" / f"film-{number}.jpg").write_bytes(b"\0\0\0\x14ftypqt  ")
    with pytest.raises(HeadstartError, match=r"3 of 123 files .*, more than --max-bad 1%: cat/clip\.jpg"):
        load(photos)


def test_system_files_and_link_loops_are_neither_classes_nor_images(photos):
    for name in (".DS_Store", "._0.jpg", "Thumbs.db"):
        (photos / "cat" / name).write_bytes(b"x")
    for folder in ("__MACOSX", ".ipynb_checkpoints"):
        plant(photos, {folder: 1})
    (photos / "cat" / "loop").symlink_to(photos, target_is_directory=True)
    dataset = load(photos)
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset) == 40
    assert sum(dataset.ignored.values()) == 6


def test_a_letterbox_keeps_a_picture_whole_at_the_size_that_most_have(photos):
    dataset = load(photos, fit="letterbox")
    assert dataset.image_shape == (40, 40, 3)
    first = dataset.train.images[0]
    assert (first[:5] == PADDING).all() and (first[-5:] == PADDING).all()
    expected = np.asarray(Image.open(photos / dataset.train.files["path"].iloc[0]))
    assert np.array_equal(first[5:35], expected)


def test_an_image_size_bounds_what_is_kept(photos):
    assert load(photos, image_size=36, fit="stretch").image_shape == (36, 36, 3)
    assert load(photos, image_size=400, fit="stretch").image_shape == (40, 40, 3)


def test_what_is_transparent_is_white_in_what_networks_see(photos):
    (photos / "cat" / "a.png").write_bytes(palette_with_alpha())
    dataset = load(photos)
    (row,) = np.flatnonzero(dataset.files["path"] == "cat/a.png")
    assert (dataset.images[row][10] == BACKGROUND).all()


def test_given_splits_are_respected_and_mapped_by_class_name(tmp_path):
    for place, name in enumerate(("train", "valid", "test")):
        plant(tmp_path / "photos" / name, {"10": 6, "2": 5}, first_seed=100 * place)
    dataset = load(tmp_path / "photos")
    assert dataset.class_names == ("2", "10")
    for name, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        part = dataset.parts[name]
        assert [path.split("/")[0] for path in part.files["path"]] == [folder] * 11
        assert [dataset.class_names[label] for label in part.labels] == [p.split("/")[1] for p in part.files["path"]]


def test_a_csv_is_loaded_like_a_folder(photos):
    rows = [f"photos/{path.relative_to(photos)},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    table = photos.parent / "labels.csv"
    table.write_text("path,label\n" + "\n".join([*rows, "photos/gone.png,cat"]))
    dataset = load(table, max_bad=0.1)
    assert dataset.name == "labels"
    assert len(dataset) == 40
    assert dataset.unreadable == {"photos/gone.png (line 42)": "no such file"}


def test_identical_pictures_are_never_on_both_sides_of_a_split(photos):
    for number in range(5):
        (photos / "cat" / f"copy-{number}.bmp").write_bytes(encoded(picture(number), "BMP"))
    dataset = load(photos)
    places = {digest: name for name, part in dataset.parts.items() for digest in part.files["sha256"]}
    for name, part in dataset.parts.items():
        assert all(places[digest] == name for digest in part.files["sha256"])


def test_a_class_of_one_picture_says_how_many_are_needed(photos):
    plant(photos, {"bird": 1}, first_seed=500)
    with pytest.raises(HeadstartError, match="class 'bird' has too few different images: 1, and 3 are needed"):
        load(photos)


def test_a_class_without_a_readable_file_is_named(tmp_path):
    for place, name in enumerate(("train", "test")):
        plant(tmp_path / name, {"cat": 6, "dog": 5}, first_seed=100 * place)
    for path in (tmp_path / "test" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(HeadstartError, match=r"5 files cannot be read.*; test has no image of class 'dog'"):
        load(tmp_path, max_bad=1.0)


def test_the_fingerprint_follows_the_content_not_the_place(photos, tmp_path):
    first = load(photos)
    photos.rename(tmp_path / "moved")
    assert load(tmp_path / "moved").fingerprint == first.fingerprint
    (tmp_path / "moved" / "cat" / "0.png").write_bytes(encoded(picture(77), "PNG"))
    assert load(tmp_path / "moved").fingerprint != first.fingerprint


def test_a_folder_of_any_name_can_be_loaded(photos):
    for name in ("x" * 255, "猫" * 80, "[a]*", "-", os.fsdecode(b"caf\xe9")):
        photos = photos.rename(photos.with_name(name))
        assert len(load(photos)) == 40


def test_a_users_files_are_left_as_they_are(photos):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.rglob("*.png")}
    load(photos)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos.rglob("*") if path.is_file()
    } == before
