from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import bomb, encoded, picture
from PIL import Image

from headstart.data import decode as module
from headstart.data.decode import (
    BACKGROUND,
    PADDING,
    DecodeError,
    decode,
    fitted,
    inside,
    read_image,
    size_of,
    unfitted,
)
from headstart.options import CROP, FITS, LETTERBOX, STRETCH

SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)  # (H, W): survives JPEG
COLOURED = np.stack([SMOOTH, 255 - SMOOTH, SMOOTH // 2], axis=-1)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "AVIF"])
def test_every_format_is_told_by_its_content(format):
    decoded = decode(encoded(Image.fromarray(COLOURED), format))
    assert decoded.format == format
    assert decoded.pixels.shape == (40, 60, 3) and decoded.pixels.dtype == np.uint8
    assert np.abs(decoded.pixels.astype(int) - COLOURED).mean() < 8  # a GIF's palette is the coarsest


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_a_file_cut_short_is_refused_wherever_it_was_cut(format):
    whole = encoded(Image.fromarray(COLOURED), format)
    for length in range(0, len(whole) // 2, max(1, len(whole) // 40)):
        with pytest.raises(DecodeError):
            decode(whole[:length])


def test_a_phone_s_heic_is_read_and_refused_where_it_was_cut():
    whole = (Path(__file__).parent / "photo.heic").read_bytes()
    decoded = decode(whole)
    assert decoded.format == "HEIF" and np.abs(decoded.pixels.astype(int) - COLOURED).mean() < 8
    for length in range(0, len(whole) // 2, 20):
        with pytest.raises(DecodeError):
            decode(whole[:length])


def test_cmyk_becomes_rgb():
    decoded = decode(encoded(Image.fromarray(COLOURED).convert("CMYK"), "JPEG", quality=95))
    assert "CMYK" in decoded.notices
    assert np.abs(decoded.pixels.astype(int) - COLOURED).mean() < 10


def test_sixteen_bits_are_scaled_not_clipped():
    deep = SMOOTH.astype(np.uint16) * 257
    decoded = decode(encoded(Image.fromarray(deep), "PNG"))
    assert np.array_equal(decoded.pixels, np.repeat(SMOOTH[..., None], 3, axis=-1))
    assert "16-bit integers from 0 to 65,535" in decoded.notices


def test_what_is_transparent_shows_the_background_not_its_hidden_colour():
    image = Image.fromarray(COLOURED).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(60) < 30, 0, 255).astype(np.uint8)[None].repeat(40, 0)))
    decoded = decode(encoded(image, "PNG"))
    assert (decoded.pixels[:, :30] == BACKGROUND).all()
    assert np.array_equal(decoded.pixels[:, 30:], COLOURED[:, 30:])
    assert "transparent" in decoded.notices


def test_a_palette_with_a_transparent_colour_shows_the_background():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((0, 0), 0)
    decoded = decode(encoded(image, "PNG", transparency=0))
    assert tuple(decoded.pixels[0, 0]) == BACKGROUND
    assert tuple(decoded.pixels[1, 1]) == (0, 255, 0)


def test_grey_with_alpha_is_composited_too():
    image = Image.merge("LA", [Image.fromarray(SMOOTH), Image.new("L", (60, 40), 0)])
    assert (decode(encoded(image, "PNG")).pixels == BACKGROUND).all()


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken_and_said_so(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    decoded = decode(data)
    assert np.abs(decoded.pixels.astype(int) - [255, 0, 0]).max() < 5
    assert "first of 2 frames" in decoded.notices


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(orientation):
    upright = Image.fromarray(COLOURED)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that a camera's orientation undoes
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(decoded.pixels, COLOURED)
    assert ("turned upright" in decoded.notices) == (orientation > 1)


def test_a_header_that_promises_too_many_pixels_is_refused_before_they_are_made():
    with pytest.raises(DecodeError, match="pixels"):
        decode(bomb())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x00\x05\x16\x07" + bytes(40), "resource fork"),
        (b"\0\0\0\x18ftypmp42" + bytes(40), "a video"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"II*\0" + bytes(40), "a TIFF whose kind of pixels is not read"),
        (b"just some words", "no image in any of JPEG"),
    ],
)
def test_what_is_no_image_is_named_where_it_is_known(data, said):
    with pytest.raises(DecodeError, match=said):
        decode(data)


@settings(deadline=None)  # the first AVIF takes longer than the others
@given(st.data())
def test_damaged_bytes_give_an_image_or_a_decode_error(data):
    whole = bytearray(SEEDS[data.draw(st.sampled_from(sorted(SEEDS)))])
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(whole), max_pixels=1_000_000)
    except DecodeError as error:
        assert "\n" not in str(error)
    else:
        assert decoded.pixels.ndim == 3 and decoded.pixels.dtype == np.uint8


SEEDS = {
    format: encoded(Image.fromarray(COLOURED), format)
    for format in ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "AVIF")
} | {"HEIF": (Path(__file__).parent / "photo.heic").read_bytes()}


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (7, 90)])
def test_a_letterbox_has_the_whole_picture_between_bars(height, width):
    square = fitted(np.full((height, width, 3), 200, np.uint8), 32, LETTERBOX)
    assert square.shape == (32, 32, 3)
    picture = (square == 200).all(axis=-1)
    rows, columns = picture.any(axis=1).sum(), picture.any(axis=0).sum()
    assert max(rows, columns) == 32
    assert rows / columns == pytest.approx(height / width, rel=0.2)
    assert (square[~picture] == PADDING).all()


@pytest.mark.parametrize(("height", "width", "side"), [(40, 60, 40), (40, 61, 40), (90, 30, 12), (7, 91, 32)])
def test_a_crop_is_the_middle_of_a_picture_as_wide_as_it_is_high(height, width, side):
    pixels = np.random.default_rng(0).integers(0, 200, (height, width, 3), np.uint8)
    short, lost = min(height, width), abs(height - width)
    before = lost // 2
    edges = np.ones(max(height, width), bool)
    edges[before : before + short] = False
    np.moveaxis(pixels, int(width > height), 0)[edges] = 255  # what is cut off leaves no trace
    square = fitted(pixels, side, CROP)
    middle = pixels[:, before : before + short] if width > height else pixels[before : before + short]
    assert square.shape == (side, side, 3)
    assert np.array_equal(square, np.asarray(Image.fromarray(middle).resize((side, side), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (10, 50)])
def test_a_stretched_picture_is_whole_and_fills_the_square(height, width):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = 255
    square = fitted(pixels, 32, STRETCH)
    assert (square[:14, :14] > 250).all() and (square[18:] < 5).all() and (square[:, 18:] < 5).all()


SHAPES = [(1, 1), (1, 200), (200, 1), (3, 5), (32, 32), (100, 500), (500, 100), (480, 640)]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_a_picture_of_any_shape_fills_what_is_said_to_be_inside(height, width, fit):
    square = fitted(np.full((height, width, 3), 200, np.uint8), 32, fit)
    picture = np.zeros((32, 32), bool)
    picture[inside(height, width, 32, fit)] = True
    assert square.shape == (32, 32, 3)
    assert (square[picture] == 200).all() and (square[~picture] == PADDING).all()
    assert picture.all() == (fit != LETTERBOX or height == width)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("side", [8, 32, 50])
def test_a_square_is_the_same_by_every_fit_and_as_it_is_where_it_fits(fit, side):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    expected = pixels if side == 32 else Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    assert np.array_equal(fitted(pixels, side, fit), expected)


@pytest.mark.parametrize(
    ("fit", "shape"), [(STRETCH, (16, 32, 3)), (CROP, (32, 32, 3)), (LETTERBOX, (16, 32, 3))], ids=FITS
)
def test_people_are_shown_a_picture_in_its_own_shape_without_bars(fit, shape):
    pixels = np.full((40, 80, 3), 200, np.uint8)
    shown = unfitted(fitted(pixels, 32, fit), 40, 80, fit)
    assert shown.shape == shape and (shown == 200).all()


def test_the_size_of_a_file_is_read_from_its_header(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(COLOURED), "PNG"))
    (tmp_path / "b.png").write_bytes(b"no image")
    assert size_of(tmp_path / "a.png") == (60, 40)
    assert size_of(tmp_path / "b.png") is None
    assert size_of(tmp_path / "nowhere.png") is None


def turned(image):
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def animated(image):
    return encoded(image, "GIF", save_all=True, append_images=[image.rotate(180)])


FILES = SEEDS | {
    "turned.jpg": turned(Image.fromarray(COLOURED)),
    "animated.gif": animated(Image.fromarray(COLOURED)),
    "deep.png": encoded(Image.fromarray(SMOOTH.astype(np.uint16) * 257), "PNG"),
    "packed.tif": encoded(Image.fromarray(COLOURED), "TIFF", compression="tiff_deflate"),
    "cmyk.jpg": encoded(Image.fromarray(COLOURED).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_decoded_as_its_bytes_are(name, tmp_path):
    (tmp_path / name).write_bytes(FILES[name])
    read, decoded = read_image(tmp_path / name), decode(FILES[name])
    assert np.array_equal(read.pixels, decoded.pixels)
    assert (read.format, read.notices) == (decoded.format, decoded.notices)


@pytest.mark.parametrize(
    "data",
    [b"", b"<!DOCTYPE html>", b"just some words", SEEDS["JPEG"][:-100], SEEDS["PNG"][:60], bomb(), b"BM" + bytes(200)],
    ids=["empty", "HTML", "words", "cut JPEG", "cut PNG", "bomb", "no BMP"],
)
def test_a_file_is_refused_in_the_words_that_its_bytes_are(data, tmp_path):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(DecodeError) as of_bytes:
        decode(data)
    with pytest.raises(DecodeError) as of_file:
        read_image(tmp_path / "file")
    assert str(of_file.value) == str(of_bytes.value) != ""


def test_a_jpeg_cut_short_is_said_to_be_damaged(tmp_path):
    whole = encoded(picture(0, 400, 300), "JPEG")
    (tmp_path / "photo.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match="damaged: image file is truncated"):
        read_image(tmp_path / "photo.jpg")


def bytes_read():
    """How many bytes this process has read so far, from files and all else."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


@pytest.mark.skipif(not os.access("/proc/self/io", os.R_OK), reason="only Linux counts what a process reads")
@pytest.mark.parametrize(
    ("name", "start", "gigabytes", "said"),
    [
        ("clip.MOV", b"\0\0\0\x14ftypqt  ", 4, "a file of 4.0 GB: no more than 1 GB is read"),
        ("huge.webp", b"RIFF\xf0\xff\xff\x7fWEBPVP8 ", 4, "a file of 4.0 GB: no more than 1 GB is read"),
        ("disk.iso", b"", 0.9, "no image in any of JPEG"),
        ("film.jpg", b"\0\0\0\x14ftypqt  ", 0.9, "a video, no image"),
        ("drive.bmp", b"BM", 0.9, "damaged: Unsupported BMP header"),
    ],
)
def test_a_large_file_that_is_no_image_is_refused_without_being_read(name, start, gigabytes, said, tmp_path):
    path = tmp_path / name
    path.write_bytes(start)
    os.truncate(path, int(gigabytes * 1e9))  # sparse: it takes no room
    before = bytes_read()
    with pytest.raises(DecodeError, match=said):
        read_image(path)
    assert size_of(path) is None
    assert bytes_read() - before < 1_000_000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.png", "no such file"),
        ("null\0byte.png", "no such file"),
        ("folder", "not a file"),
        ("pipe", "not a file"),
        ("x" * 300, "cannot be opened: File name too long"),
    ],
)
def test_what_is_no_file_is_refused_in_one_sentence(name, said, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DecodeError) as refused:
        read_image(tmp_path / name)
    assert str(refused.value) == said


@pytest.mark.parametrize("method", ["is_file", "open"])  # of its folder, of itself
def test_a_file_that_may_not_be_read_is_refused_in_one_sentence(method, tmp_path, monkeypatch):
    def forbidden(self, *arguments):
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "secret.png").write_bytes(SEEDS["PNG"])
    monkeypatch.setattr(Path, method, forbidden)
    with pytest.raises(DecodeError) as refused:
        read_image(tmp_path / "secret.png")
    assert str(refused.value) == "cannot be opened: Permission denied"


def test_an_image_for_which_memory_does_not_suffice_is_not_called_damaged(tmp_path, monkeypatch):
    def too_much(image):
        raise MemoryError

    (tmp_path / "large.png").write_bytes(SEEDS["PNG"])
    monkeypatch.setattr(module, "_rgb", too_much)
    with pytest.raises(DecodeError) as refused:
        read_image(tmp_path / "large.png")
    assert str(refused.value) == "it does not fit into memory"
