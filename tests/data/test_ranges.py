"""Pixels whose type does not say what is white: sets of small files -> what is read, or why nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import encoded, picture, plant, raw_tiff
from PIL import Image

from headstart.cli import main
from headstart.data.decode import DecodeError, decode
from headstart.data.load import load
from headstart.data.pixels import as_seen, image_of
from headstart.data.ranges import RangeError, eight_bits, own_white

RAMP = np.linspace(0, 1, 32 * 32).reshape(32, 32)
LEVELS = np.rint(255 * RAMP).astype(np.uint8)  # what every ramp below is to become
COLOURS = np.dstack([LEVELS, 255 - LEVELS, LEVELS // 2])


def ramp(top: float, dtype: str) -> np.ndarray:
    values = top * RAMP
    return (values if dtype[0] == "f" else np.rint(values)).astype(dtype)


def png(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values), "PNG")


READ = {  # bytes -> grey levels, and what is told
    "8 bits": (png(LEVELS), LEVELS, "grey"),
    "16 bits": (png(ramp(65535, "u2")), LEVELS, "16-bit integers from 0 to 65,535"),
    "14 bits in 16": (png(ramp(16383, "u2")), LEVELS, "16-bit integers from 0 to 16,383"),
    "12 bits in 16": (png(ramp(4095, "u2")), LEVELS, "16-bit integers from 0 to 4,095"),
    "12 bits, not all used": (png(ramp(3000, "u2")), ramp(3000 * 255 / 4095, "f4"), "16-bit integers from 0 to 4,095"),
    "10 bits in 16": (png(ramp(1023, "u2")), LEVELS, "16-bit integers from 0 to 1,023"),
    "8 bits in 16": (png(ramp(255, "u2")), LEVELS, "16-bit integers from 0 to 255"),
    "a mask in 16": (png(ramp(1, "u2")), LEVELS // 128 * 255, "16-bit integers from 0 to 1"),
    "12 bits in a TIFF": (raw_tiff(ramp(4095, "u2")), LEVELS, "16-bit integers from 0 to 4,095"),
    "16 bits with a sign": (raw_tiff(ramp(4095, "i2")), LEVELS, "32-bit integers from 0 to 4,095"),
    "32 bits": (raw_tiff(ramp(65535, "i4")), LEVELS, "32-bit integers from 0 to 65,535"),
    "floats to 1": (raw_tiff(ramp(1, "f4")), LEVELS, "32-bit floats from 0 to 1"),
    "floats to a little over 1": (raw_tiff(ramp(1.001, "f4")), LEVELS, "32-bit floats from 0 to 1"),
    "floats to 255": (raw_tiff(ramp(255, "f4")), LEVELS, "32-bit floats from 0 to 255"),
    "floats to 4095": (raw_tiff(ramp(4095, "f4")), LEVELS, "32-bit floats from 0 to 4,095"),
    "8 bits, 0 is white": (raw_tiff(LEVELS, photometric=0), 255 - LEVELS, "0 is white"),
    "12 bits, 0 is white": (raw_tiff(ramp(4095, "u2"), photometric=0), 255 - LEVELS, "0 is white"),
    "floats, 0 is white": (raw_tiff(ramp(1, "f4"), photometric=0), 255 - LEVELS, "0 is white"),
    "one bit": (png(LEVELS > 127), LEVELS // 128 * 255, "grey"),
    "one bit in a TIFF": (encoded(Image.fromarray(LEVELS > 127), "TIFF"), LEVELS // 128 * 255, "grey"),
    "grey and opacity": (png(np.dstack([LEVELS, np.full_like(LEVELS, 255)])), LEVELS, None),
    "a grey palette": (encoded(Image.fromarray(LEVELS).convert("P"), "PNG"), LEVELS, None),
    "first of two pages": (
        encoded(Image.fromarray(LEVELS), "TIFF", save_all=True, append_images=[Image.new("L", (32, 32))]),
        LEVELS,
        "first of 2 frames",
    ),
    "a fourth channel": (
        raw_tiff(np.dstack([LEVELS] * 4), photometric=2, extra=(0,)),
        LEVELS,
        "channels beyond RGB left out",
    ),
    "16 bits a colour": (
        raw_tiff(np.dstack([ramp(65535, "u2")] * 3), photometric=2),
        LEVELS,
        "16-bit colour by its upper 8 bits",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_becomes_these_levels_of_grey_and_it_is_said_how(name):
    data, levels, told = READ[name]
    decoded = decode(data)
    assert np.abs(decoded.pixels - levels[..., None].astype(float)).max() <= 1
    assert told is None or told in decoded.notices


REFUSED = {
    "below 0": (raw_tiff(ramp(1, "f4") - 0.5), "floats from -0.5 to 0.5: black is 0"),
    "Hounsfield units": (raw_tiff(ramp(4000, "i2") - 1024), "integers from -1024 to 2976: black is 0"),
    "beyond 16 bits": (raw_tiff(ramp(1e6, "i4")), r"integers from 0 to 1e\+06: black is 0, and white 65,535 at most"),
    "no number": (raw_tiff(np.where(RAMP > 0.5, np.nan, 0).astype("f4")), "floats from nan to nan"),
    "without an end": (raw_tiff(np.where(RAMP > 0.5, np.inf, 0).astype("f4")), "floats from 0 to inf"),
    "two channels": (raw_tiff(np.dstack([LEVELS] * 2), extra=(0,)), "two channels"),
    "two channels, not declared": (raw_tiff(np.dstack([LEVELS] * 2)), "a TIFF whose kind of pixels is not read"),
    "five channels": (raw_tiff(np.dstack([LEVELS] * 5), extra=(0,) * 4), "a TIFF whose kind of pixels is not read"),
    "half floats": (raw_tiff(ramp(1, "f2")), "a TIFF whose kind of pixels is not read"),
    "colour in floats": (raw_tiff(np.dstack([ramp(1, "f4")] * 3), photometric=2), "a TIFF whose kind of pixels"),
    "CIELab": (raw_tiff(COLOURS, photometric=8), "colours in LAB, which are not read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_a_range_is_refused_in_one_line(name):
    data, said = REFUSED[name]
    with pytest.raises(DecodeError, match=said) as refused:
        decode(data)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "TIFF"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("P", "PNG")])
def test_colours_of_every_mode_stay_what_they_are(mode, format):
    colours = Image.fromarray(COLOURS)
    image = colours.quantize() if mode == "P" else colours.convert(mode)
    assert np.abs(decode(encoded(image, format)).pixels - COLOURS.astype(float)).mean() < 5


@pytest.mark.parametrize("white", [1, 255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_the_white_of_an_image_is_white_and_its_black_black(white, dtype):
    values = ramp(white, dtype)
    assert own_white(values) == white
    assert np.array_equal(eight_bits(values, white), np.rint(values.astype("f8") * 255 / white))


def test_what_is_lighter_than_white_is_refused_not_clipped():
    with pytest.raises(RangeError, match="integers from 0 to 4095, where 0 is black and 1,023 white"):
        eight_bits(ramp(4095, "u2"), 1023)


def deep(folder, tops, dtype="u2"):
    """A set of two classes whose pictures have these largest values, in turn."""
    for number, top in enumerate(tops):
        grey = np.asarray(picture(number, 40, 40).convert("L")) / 255
        values = (grey / grey.max() * top).astype(dtype)
        place = folder / ("cat", "dog")[number % 2] / f"{number}.tif"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(place)
    return folder


@pytest.mark.parametrize(
    ("tops", "dtype", "whites"),
    [
        ([3900, 900] * 12, "u2", {"integers": 4095}),
        ([3900] * 24, "u2", {"integers": 4095}),
        ([900] * 23 + [40000], "u2", {"integers": 65535}),
        ([1, 0.2] * 12, "f4", {"floats": 1}),
        ([4095, 800] * 12, "f4", {"floats": 4095}),
    ],
)
def test_a_set_has_one_range_and_predict_scales_by_it(tops, dtype, whites, tmp_path, capsys):
    photos = deep(tmp_path / "photos", tops, dtype)
    data = load(photos)
    assert data.whites == whites
    ((kind, white),) = whites.items()
    assert f"24 images have {kind} beyond 8 bits: 0 is taken for black, {white:,g} for white" in capsys.readouterr().err
    for path, square in zip(data.files["path"], data.images, strict=True):
        assert np.array_equal(as_seen(image_of(photos / path, data.whites), [40], data.fit), square)
        stored = np.asarray(Image.open(photos / path)).astype(float)
        assert np.abs(square[..., 0] - 255 * stored / white).max() < 0.51


def test_grey_of_8_bits_beside_deep_files_keeps_its_own_range(tmp_path):
    photos = plant(deep(tmp_path / "photos", [3900, 900] * 12), {"cat": 3}, first_seed=50)
    data = load(photos)
    assert np.array_equal(kept_of(data, "cat/0.png"), _square(photos / "cat" / "0.png", data.images.shape[1]))
    assert data.whites == {"integers": 4095}


def test_a_second_opening_decodes_nothing_and_a_brighter_photo_changes_all(tmp_path, capsys):
    photos = deep(tmp_path / "photos", [900] * 24)
    before = load(photos)
    capsys.readouterr()
    again = load(photos)
    assert "reading" not in capsys.readouterr().err
    assert again.fingerprint == before.fingerprint
    deep(photos, [900] * 24 + [4000])
    after = load(photos)
    assert (before.whites, after.whites) == ({"integers": 1023}, {"integers": 4095})
    assert kept_of(after, "cat/0.tif").max() < kept_of(before, "cat/0.tif").max() / 3


def test_check_tells_the_range_and_marks_a_set_without_contrast(tmp_path, capsys):
    photos = deep(tmp_path / "photos", [4000] * 40)
    main(["check", str(photos)])
    assert "40 images: 16-bit integers from 0 to 4,095" in capsys.readouterr().out
    for place in photos.glob("*/*.tif"):
        values = np.array(Image.open(place))
        values[0, 0] = 65535  # one pixel that is no measurement: the rest becomes near black
        Image.fromarray(values).save(place)
    with pytest.raises(SystemExit):
        main(["check", str(photos)])
    assert "! 40 images of 40 with hardly any contrast" in capsys.readouterr().out


def kept_of(data, path):
    (row,) = np.flatnonzero(data.files["path"] == path)
    return data.images[int(row)]


def _square(path, side):
    return np.asarray(image_of(path).resize((side, side), Image.Resampling.BICUBIC))
