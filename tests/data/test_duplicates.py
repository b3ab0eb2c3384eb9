"""Near-duplicates: copies that were edited, and pictures that are merely alike."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pictures import encoded, picture
from PIL import Image, ImageDraw, ImageEnhance

import headstart as hs
from headstart.data import duplicates
from headstart.data.duplicates import find_duplicates, near_duplicates, rows_of, together
from headstart.data.load import load


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))


def photo(seed: int) -> Image.Image:
    """Noise of two sizes, as a photograph has large things and small ones."""
    draw = np.random.default_rng(seed)
    sizes = ((5, 8), (18, 27))
    layers = [Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    large, small = (layer.resize((120, 80), Image.Resampling.BICUBIC) for layer in layers)
    return Image.blend(large, small, 0.4)


def captioned(image):
    image = image.copy()
    ImageDraw.Draw(image).rectangle((0, 70, 120, 80), fill="white")
    return image


def jpeg(image):
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=30))).convert("RGB")


EDITS = {
    "cropped": lambda image: image.crop((6, 2, 114, 74)),
    "turned": lambda image: image.rotate(2, Image.Resampling.BICUBIC),
    "re-encoded": jpeg,
    "half as large": lambda image: image.resize((60, 40)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": lambda image: image.convert("L"),
    "captioned": captioned,
    "mirrored and cropped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop((4, 4, 112, 76)),
}


@pytest.fixture
def folder(tmp_path):
    for number in range(40):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        photo(number).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    return tmp_path / "photos"


def near(place) -> list[set[str]]:
    data = load(place)
    return [set(data.files["path"].iloc[list(pair)]) for pair in near_duplicates(data).rows]


def test_edited_copies_are_found_and_nothing_else(folder):
    for number, edit in enumerate(EDITS.values()):
        edit(photo(number)).save(folder / "a" / f"edit-{number}.png")
    found = near(folder)
    for number, name in enumerate(EDITS):
        assert {f"a/edit-{number}.png", f"{'ab'[number % 2]}/{number}.png"} in found, name
    assert len(found) == len(EDITS)


def test_pictures_of_one_layout_are_no_near_duplicates(tmp_path):
    """A disc on one ground, of another size and at another place each time; the ground is the same to a pixel."""
    ground, draw = photo(0), np.random.default_rng(0)
    for number in range(40):
        image = ground.copy()
        x, y, radius = draw.integers(20, 100), draw.integers(20, 60), draw.integers(6, 20)
        colour = tuple(int(value) for value in draw.integers(0, 256, 3))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        (tmp_path / "scans" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "scans" / "ab"[number % 2] / f"{number}.png")
    assert near(tmp_path / "scans") == []


def test_one_silhouette_stretched_and_turned_into_another_is_no_near_duplicate():
    images, labels, _ = arrays()
    for row, (width, height, turn) in ((0, (12, 3, 0)), (1, (9, 5, 12))):
        sky = Image.new("RGB", (32, 32), (150, 170, 200))
        ImageDraw.Draw(sky).polygon(
            [(16 - width, 16 + height), (16 + width, 16), (16 - width, 16 - height)], fill="black"
        )
        images[row] = np.asarray(sky.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(150, 170, 200)))
    assert len(near_duplicates(hs.from_arrays(images, labels, ["a", "b"])).rows) == 0


def test_flat_pictures_are_no_near_duplicates():
    draw = np.random.default_rng(0)
    shades = draw.integers(0, 256, (30, 1, 1, 3)) + draw.integers(0, 2, (30, 32, 32, 3))
    data = hs.from_arrays(np.clip(shades, 0, 255).astype(np.uint8), np.arange(30) % 2, ["a", "b"])
    assert len(near_duplicates(data).rows) == 0


def arrays(count=40, splits=None):
    images = np.stack([np.asarray(photo(number).resize((32, 32))) for number in range(count)])
    return images, np.arange(count) % 2, splits


def brighter(pixels):
    return np.clip(pixels * 1.2 + 9, 0, 255).astype(np.uint8)


def test_each_copy_is_paired_with_the_first_near_one_of_each_split():
    images, labels, _ = arrays()
    images[20], images[30], images[31] = brighter(images[0]), images[20], images[0]
    splits = np.array(["train"] * 20 + ["val"] * 8 + ["test"] * 12)
    pairs = find_duplicates(hs.from_arrays(images, labels, ["a", "b"], splits=splits))
    found = {(a, i, b, j): exact for a, i, b, j, exact in pairs.itertuples(index=False)}
    assert found == {
        ("val", 0, "train", 0): False,
        ("test", 2, "train", 0): False,
        ("test", 2, "val", 0): True,
        ("test", 3, "train", 0): True,
        ("test", 3, "val", 0): False,
        ("test", 3, "test", 2): False,
    }


def test_the_same_images_give_the_same_pairs_through_cells_as_by_comparing_all(monkeypatch):
    images, labels, _ = arrays(300)
    images[100:110] = brighter(images[:10])
    data = hs.from_arrays(images, labels, ["a", "b"])
    every = duplicates._alike(data, np.arange(300))
    monkeypatch.setattr("headstart.data.candidates.FEW", 50)
    through_cells = duplicates._alike(data, np.arange(300))
    is_near = every["similarity"] >= 0.85
    assert is_near.sum() == 10
    assert through_cells[through_cells["similarity"] >= 0.85].equals(
        every[is_near].set_axis(through_cells.index[through_cells["similarity"] >= 0.85])
    )
    assert through_cells.equals(duplicates._alike(data, np.arange(300)))


def told(monkeypatch, similarity, differ):
    """What is told of pairs of such similarity, whose labels differ or not."""
    rows = np.arange(2 * len(similarity)).reshape(-1, 2)
    table = pd.DataFrame({"row": rows[:, 1], "other_row": rows[:, 0], "similarity": similarity})
    monkeypatch.setattr(duplicates, "alike", lambda dataset: table)
    labels = np.zeros(2 * len(similarity), np.int64)
    labels[1::2] = differ
    return near_duplicates(SimpleNamespace(labels=labels))


def test_the_bound_rises_where_pairs_above_it_have_different_labels(monkeypatch):
    similarity = np.r_[np.full(100, 0.6), np.full(20, 0.87), np.full(50, 0.92)]
    differ = np.r_[np.arange(100) % 2, np.arange(20) % 2, np.zeros(50)]
    found = told(monkeypatch, similarity, differ)
    assert (found.bound, len(found.rows), found.differ) == (0.9, 50, 0)


def test_labels_that_differ_at_every_similarity_are_taken_for_wrong_labels(monkeypatch):
    similarity = np.r_[np.full(100, 0.6), np.full(50, 0.97)]
    found = told(monkeypatch, similarity, np.r_[np.arange(100) % 2, np.arange(50) % 2])
    assert (found.bound, len(found.rows), found.differ) == (0.95, 50, 25)
    assert found.false > 40


@pytest.mark.parametrize("gap", [False, True])
def test_pictures_alike_in_every_degree_have_no_near_duplicates(monkeypatch, gap):
    """A gap below the bound says that those above it are something else, also where many lie close to it."""
    counts = {0.72: 5 if gap else 600, 0.77: 500, 0.82: 400, 0.87: 300, 0.92: 200, 0.97: 100}
    found = told(monkeypatch, np.repeat(list(counts), list(counts.values())), np.zeros(sum(counts.values())))
    assert (found.bound, len(found.rows)) == ((0.85, 600) if gap else (np.inf, 0))


def test_near_duplicates_are_together_whatever_their_labels_unless_they_are_most_of_a_class():
    images, labels, _ = arrays()
    images[1], images[2] = brighter(images[0]), brighter(brighter(images[0]))
    data = hs.from_arrays(images, labels, ["a", "b"])
    units = together(data, rows_of(data.whole, find_duplicates(data.whole)))
    assert units[0] == units[1] == units[2] and len(np.unique(units)) == 38
    film = np.column_stack([np.arange(1, 12), np.arange(11)])
    assert len(np.unique(together(data, film))) == 40


def test_a_picture_is_compared_without_the_bars_beside_it(tmp_path):
    """Tall and wide pictures of one square: by their bars they would be alike."""
    for number in range(30):
        (tmp_path / "tall" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        picture(number, 20, 80).save(tmp_path / "tall" / "ab"[number % 2] / f"{number}.png")
    assert near(tmp_path / "tall") == []


def test_pairs_keep_to_their_images_where_one_comes_that_no_split_uses():
    images = np.stack([np.asarray(photo(seed).resize((64, 64))) for seed in range(41)])
    images[40] = 0.8 * images[0]
    labels = np.arange(41) % 2
    dataset = hs.from_arrays(images, labels, ["a", "b"], name="moving")
    rows = np.arange(41)
    before = dataset.with_splits(hs.Split("mine", rows[:30], rows[30:35], rows[35:]))
    assert duplicates.alike(before)[["row", "other_row"]].to_numpy().tolist() == [[40, 0]]
    more = hs.from_arrays(np.concatenate([images[1:2, ::-1], images]), np.r_[0, labels], ["a", "b"], name="moving")
    more.__dict__["collection"] = before.collection
    after = more.with_splits(hs.Split("mine", 1 + rows[:30], 1 + rows[30:35], 1 + rows[35:]))
    assert duplicates.alike(after)[["row", "other_row"]].to_numpy().tolist() == [[41, 1]]
