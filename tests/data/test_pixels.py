"""From an image as a user has it to the pixels that training has."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, picture
from PIL import Image

from headstart.data.decode import BACKGROUND, DecodeError
from headstart.data.listing import scan
from headstart.data.pixels import as_seen, image_of, pictures_in
from headstart.data.store import open_store
from headstart.errors import HeadstartError
from headstart.options import FITS, LETTERBOX

COLOURED = np.asarray(picture(0))  # (30, 40, 3)
GREY = COLOURED[..., 0]


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif)


def palette(**options) -> bytes:
    image = picture(1).quantize(16)
    return encoded(image, "PNG", **options)


def with_alpha() -> bytes:
    image = picture(2).convert("RGBA")
    image.putalpha(picture(3).convert("L"))
    return encoded(image, "PNG")


FILES = {
    "plain.png": encoded(picture(10), "PNG"),
    "wide.jpg": encoded(picture(11, 300, 100), "JPEG"),
    "tall.jpg": encoded(picture(12, 90, 400), "JPEG"),
    "large.jpg": encoded(picture(13, 640, 480), "JPEG"),
    "square.webp": encoded(picture(14, 64, 64), "WEBP"),
    "tiny.bmp": encoded(picture(15, 5, 3), "BMP"),
    "line.png": encoded(picture(16, 200, 1), "PNG"),
    "palette.png": palette(),
    "transparent palette.png": palette(transparency=3),
    "palette.gif": encoded(picture(17).quantize(16), "GIF"),
    "animated.gif": encoded(picture(18), "GIF", save_all=True, append_images=[picture(19)]),
    "alpha.png": with_alpha(),
    "grey.png": encoded(picture(20).convert("L"), "PNG"),
    "grey alpha.png": encoded(picture(21).convert("LA"), "PNG"),
    "bits.png": encoded(picture(22).convert("1"), "PNG"),
    "deep.png": encoded(Image.fromarray(GREY.astype(np.uint16) * 257 + 99), "PNG"),
    "cmyk.jpg": encoded(picture(23).convert("CMYK"), "JPEG"),
    "packed.tif": encoded(picture(24), "TIFF", compression="tiff_deflate"),
} | {f"turned-{orientation}.jpg": turned(picture(30 + orientation, 50, 20), orientation) for orientation in range(1, 9)}


def pixels_of(*about) -> np.ndarray:
    return np.asarray(image_of(*about))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph that lies on its side, as phones have them."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(turned(picture(5), 6))
    return path


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("image_size", [None, 48, 400])
def test_a_file_is_seen_in_use_as_it_was_in_training(tmp_path, image_size, fit):
    for number, (name, data) in enumerate(FILES.items()):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / "ab"[number % 2] / name).write_bytes(data)
    listing = scan(tmp_path / "photos")
    store = open_store(listing, "photos", fit, image_size)
    side = store.images.shape[1]
    assert len(listing.paths) == len(FILES)
    assert not store.files["error"].any()
    for path, kept in zip(listing.paths, store.images, strict=True):
        assert np.array_equal(as_seen(image_of(listing.root / path), [side], fit), kept), path
        with Image.open(listing.root / path) as image:
            assert np.array_equal(as_seen(image_of(image), [side], fit), kept), path


@pytest.mark.parametrize("as_what", [str, Path, lambda path: os.fspath(path)])
def test_a_file_is_named_by_any_path(photo, as_what):
    assert pixels_of(as_what(photo)).shape == (40, 30, 3)  # upright


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_a_pillow_image_of_any_mode_is_rgb_of_8_bits(mode):
    image = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else picture(0).convert(mode)
    pixels = pixels_of(image)
    assert (pixels.shape, pixels.dtype) == ((30, 40, 3), np.uint8)
    expected = np.repeat(GREY[..., None], 3, axis=-1) if mode == "I;16" else np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        GREY[..., None],
        np.repeat(GREY[..., None], 3, axis=-1),
        np.dstack([GREY] * 3 + [np.full_like(GREY, 255)]),
        GREY.astype(np.int64),
        GREY.astype(np.uint16) * 257,
        GREY.astype(np.float32) / 255,
        GREY / 255,
        np.asfortranarray(GREY),
        GREY[::-1][::-1],
    ],
    ids=["(H, W)", "(H, W, 1)", "(H, W, 3)", "(H, W, 4)", "int64", "uint16", "float32", "float64", "Fortran", "view"],
)
def test_grey_opacity_and_other_types_of_numbers_are_the_same_pixels(array):
    assert np.array_equal(pixels_of(array), np.repeat(GREY[..., None], 3, axis=-1))


def test_true_is_white_and_false_is_black():
    assert pixels_of(GREY > 99)[..., 1].tolist() == np.where(GREY > 99, 255, 0).tolist()


def test_sixteen_bits_are_rounded_as_those_of_a_file_are():
    deep = np.arange(0, 65_536, 7, dtype=np.uint16)[:9360].reshape(90, 104)
    assert np.array_equal(pixels_of(deep), pixels_of(Image.fromarray(deep)))


def test_what_is_transparent_is_white():
    array = np.dstack([COLOURED, np.zeros_like(GREY)])
    assert (pixels_of(array) == BACKGROUND).all()
    assert (pixels_of(Image.fromarray(array)) == BACKGROUND).all()


BAD = np.full((4, 4, 3), 0.5)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"an image is \(H, W\).*; got \(4, 4, 2\)"),
        (np.zeros((3, 16, 16), np.uint8), r"got \(3, 16, 16\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"got \(2, 4, 4, 3\)"),
        (np.zeros(7, np.uint8), r"got \(7,\)"),
        (np.uint8(7), r"got \(\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got \(0, 4, 3\)"),
        (255 * BAD, "got float64 from 127.5 to 127.5"),
        (-BAD, "got float64 from -0.5 to -0.5"),
        (np.where(BAD > 0, np.nan, 0), "got float64 from nan to nan"),
        (np.full((4, 4), 256), "got int64 from 256 to 256"),
        (np.full((4, 4), -1, np.int8), "got int8 from -1 to -1"),
        (np.full((4, 4), 1j), "got complex128"),
        (np.full((4, 4), "a"), "got <U1"),
        (np.full((4, 4), None), "got object"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(array, said):
    with pytest.raises(HeadstartError, match=said) as refusal:
        pixels_of(array)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"<html>", "an HTML page"),
        (FILES["wide.jpg"][:900], "damaged"),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_its_name_in_one_line(tmp_path, data, said):
    path = tmp_path / "two\nlines.jpg"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DecodeError, match=rf"{tmp_path}/two\\nlines\.jpg: {said}") as refusal:
        pixels_of(path)
    assert "\n" not in str(refusal.value)


def test_floats_beyond_the_range_are_refused_in_one_line():
    with pytest.raises(HeadstartError, match="to 250, where 0 is black and 1 white"):
        pixels_of(picture(0).convert("L").convert("F"))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_range_of_a_run_is_that_of_arrays_pillow_images_and_files(dtype, tmp_path):
    values = (GREY.astype(np.uint16) * 16).astype(dtype)
    Image.fromarray(values).save(tmp_path / "deep.tif")
    whites = {"integers": 4095, "floats": 4095}
    expected = np.rint(GREY * (16 * 255 / 4095)).astype(np.uint8)
    for given in (values, Image.fromarray(values), tmp_path / "deep.tif"):
        assert np.array_equal(pixels_of(given, whites)[..., 0], expected)
    with pytest.raises(HeadstartError, match=r"where 0 is black and 1,023 white|where 1,023 is white"):
        pixels_of(values, {"integers": 1023, "floats": 1023})


def test_a_pillow_image_of_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encoded(picture(0, 200, 100), "JPEG")[:-300])
    with Image.open(path) as image, pytest.raises(HeadstartError, match="damaged: image file is truncated"):
        pixels_of(image)


def test_one_image_counts_as_one_and_several_as_each(photo):
    batch = np.stack([COLOURED] * 5)
    for images, count in (
        (photo, 1),
        (str(photo), 1),
        (picture(0), 1),
        (COLOURED, 1),
        (GREY, 1),
        (GREY[..., None], 1),
        (np.dstack([COLOURED, GREY]), 1),
        (batch, 5),
        (batch[..., 0], 5),
        (batch[..., :1], 5),
        ([photo, str(photo), picture(0), COLOURED, GREY], 5),
        (iter([photo, COLOURED]), 2),
        ([], 0),
        (batch[:0], 0),
    ):
        found = [pixels_of(each) for each in pictures_in(images)]
        assert len(found) == count
        assert all(pixels.ndim == 3 and pixels.dtype == np.uint8 for pixels in found)


def test_an_image_is_fitted_into_several_squares_in_turn():
    twice = as_seen(picture(0), [20, 64], LETTERBOX)
    assert twice.shape == (64, 64, 3)
    once = Image.fromarray(as_seen(picture(0), [20], LETTERBOX))
    assert np.array_equal(twice, as_seen(once, [64], LETTERBOX))
