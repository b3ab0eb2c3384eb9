from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import headstart as hs
from headstart.cli import main
from headstart.inference.suggest import chosen, first_of_copies


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny-1"
    return hs.compare(tiny, ["base-cnn"], epochs=1, device="cpu", output=folder).runs[0].folder


@pytest.fixture
def photos(tiny, tmp_path):
    """Thirty photos, one of them twice, and one that cannot be read."""
    (folder := tmp_path / "photos").mkdir()
    for number, image in enumerate([*tiny.test.images, tiny.test.images[0]]):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


def test_the_unsure_are_chosen_and_no_two_that_are_the_same():
    features = np.repeat(np.eye(4), 5, axis=0)  # four kinds of image, five of each
    probabilities = np.tile([0.5, 0.5], (20, 1))
    probabilities[15:] = [1, 0]  # of the last kind the network is sure
    assert sorted(chosen(features, probabilities, 3) // 5) == [0, 1, 2]
    assert sorted(chosen(features, probabilities, 50)) == list(range(20))


def smooth(seed):
    """A picture of large things and small ones."""
    draw = np.random.default_rng(seed)
    layers = [draw.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (6, 20)]
    large, small = (Image.fromarray(each).resize((64, 64), Image.Resampling.BICUBIC) for each in layers)
    return Image.blend(large, small, 0.4)


def test_of_near_copies_the_first_alone_can_be_chosen():
    pictures = [smooth(seed) for seed in range(30)]
    edited = [pictures[0].crop((3, 2, 61, 60)), pictures[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    edited += [pictures[0].point(lambda value: min(255, int(value * 1.2)))]
    images = np.stack([np.asarray(each.resize((64, 64))) for each in [*pictures, *edited]])
    guesses = [("cat", "dog")[at % 2] for at in [*range(30), 0, 1, 0]]
    assert first_of_copies(images, guesses).tolist() == list(range(30))
    assert first_of_copies(images[:1], guesses[:1]).tolist() == [0]


def test_the_csv_is_one_to_load_once_it_is_filled_in(run, photos, tmp_path, capsys):
    output = tmp_path / "next.csv"
    main(["predict", str(run), str(photos), "--suggest", "12", "-o", str(output)])
    said = " ".join(capsys.readouterr().out.split())
    assert "12 photos to label" in said
    assert "1 exact copies of others, 1 unreadable" in said
    with Image.open(tmp_path / "next.png") as sheet:
        assert sheet.width > 1000
    table = pd.read_csv(output)
    assert table.columns.tolist() == ["path", "label", "guess", "probability", "doubt"]
    assert table["path"].is_unique
    assert table["label"].isna().all()
    table["label"] = np.where(np.arange(12) % 2, "warm", "cold")
    table.to_csv(output, index=False)
    assert len(hs.load(output)) == 12


def test_a_file_that_is_there_is_not_overwritten(run, photos, tmp_path, capsys):
    (output := tmp_path / "next.csv").write_text("mine")
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(photos), "--suggest", "2", "-o", str(output)])
    assert output.read_text() == "mine"
    assert "a new file that ends in .csv" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_any_photo_is_looked_at(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(tmp_path / "none"), "--suggest", "2", "-o", str(tmp_path / "new" / "next.csv")])
    assert "there is no folder" in capsys.readouterr().err


def test_a_picture_that_is_there_is_not_overwritten_either(run, photos, tmp_path, capsys):
    (tmp_path / "cat.png").write_bytes(b"mine")
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(photos), "--suggest", "3", "-o", str(tmp_path / "cat.csv")])
    assert "cat.png is there already" in capsys.readouterr().err
    assert (tmp_path / "cat.png").read_bytes() == b"mine"


def test_a_photo_whose_name_is_no_text_is_left_aside(run, photos, tmp_path, capsys):
    (photos / "00.png").rename(photos / os.fsdecode(b"caf\xe9.png"))
    main(["predict", str(run), str(photos), "--suggest", "40", "-o", str(tmp_path / "next.csv")])
    said = capsys.readouterr()
    assert "1 of names that are no text" in " ".join(said.out.split()) and "caf\\udce9.png" in said.err
