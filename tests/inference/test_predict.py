from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from small_data import CLASS_NAMES

from headstart.errors import HeadstartError
from headstart.inference import sorting
from headstart.inference.answers import UNLIKE, UNSURE, Answer, table_of
from headstart.inference.classifier import Classifier
from headstart.inference.predict import predict, predict_files
from headstart.models import build
from headstart.results import runs
from headstart.results.files import write_json


def run_of(folder, fit="letterbox"):
    """A run's folder with an untrained network."""
    network, spec = build.from_scratch("base-cnn", np.zeros((4, 32, 32, 3), np.uint8), len(CLASS_NAMES))
    folder.mkdir()
    Classifier(network, CLASS_NAMES, (32,), 1.0, fit).save(folder / runs.MODEL)
    about = {"class_names": list(CLASS_NAMES), "tested": 0}
    write_json(folder / runs.CONFIG, {"schema": 2, "dataset": about, "network": spec, "sides": [32], "fit": fit})
    return folder


def photos_of_many_kinds(folder):
    random = np.random.default_rng(0)
    folder.mkdir()
    for number, (size, ending) in enumerate(
        [((40, 30), "jpg"), ((9, 90), "png"), ((64, 64), "webp"), ((70, 31), "tiff")]
    ):
        exif = Image.Exif()
        exif[0x0112] = 1 + number * 2
        pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.{ending}", exif=exif)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("fit", ["stretch", "crop", "letterbox"])
def test_the_class_is_the_one_that_the_classifier_says(tmp_path, fit):
    run, photos = run_of(tmp_path / "run", fit), photos_of_many_kinds(tmp_path / "photos")
    table = predict(run, [tmp_path / "photos"])
    expected = Classifier.load(run).predict_proba(photos)
    assert list(table["path"]) == list(map(str, photos))
    assert list(table["label"]) == list(np.array(CLASS_NAMES)[expected.argmax(axis=1)])
    assert np.allclose(table["probability"], expected.max(axis=1), atol=1e-5)


def test_every_name_has_a_row_also_what_is_no_photo(tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    damaged = tmp_path / os.fsdecode(b"a\nb\xff.jpg")
    damaged.write_bytes(photos[0].read_bytes()[:200])
    table = predict(run, [damaged, photos[0], "/dev/null", tmp_path / "none.jpg"])
    assert list(table["label"].notna()) == [False, True, False, False]
    assert table["path"][0].endswith(r"a\nb\udcff.jpg")
    assert list(table["doubt"][2:]) == ["not a file", "no such file"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_stopped_run_goes_on_and_computes_nothing_twice(tmp_path, ending):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    output = tmp_path / f"answers.{ending}"
    first = predict_files(run, photos[:3], output=output)
    with pytest.raises(HeadstartError, match="is there already, and nothing is overwritten: --resume"):
        predict_files(run, photos, output=output)
    second = predict_files(run, photos, output=output, resume=True)
    assert (first.new, second.new) == (3, 1)
    pd.testing.assert_frame_equal(table_of(second.answers), predict(run, photos), rtol=0, atol=1e-5)
    run_of(tmp_path / "other")
    with pytest.raises(HeadstartError, match="was made by another classifier"):
        predict_files(tmp_path / "other", photos, output=output, resume=True)


def test_photos_are_sorted_into_a_folder_a_class_and_none_is_overwritten(tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    (tmp_path / "more").mkdir()
    again = tmp_path / "more" / photos[0].name
    again.write_bytes(photos[0].read_bytes())
    for _ in range(2):
        predict_files(run, [*photos, again], into=tmp_path / "sorted")
    links = [path for path in (tmp_path / "sorted").rglob("*") if path.is_symlink()]
    assert sorted(path.resolve() for path in links) == sorted([*photos, again])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"output": "answers.txt"}, "ends in .csv, .jsonl, .parquet"),
        ({"output": "no/such/answers.csv"}, "there is no folder"),
        ({"resume": True}, "--resume goes on with a file of answers"),
        ({"copy": True}, "--copy is of --sort-into"),
        ({"accuracy": "high"}, "is not a share"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path, asked, said):
    if "output" in asked:
        asked = {"output": tmp_path / asked["output"]}
    with pytest.raises(HeadstartError, match=said):
        predict_files(tmp_path, [tmp_path], **asked)


def test_going_on_with_other_photos_loses_no_answer(tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    output = tmp_path / "answers.csv"
    predict_files(run, photos[:2], output=output)
    predict_files(run, photos[2:], output=output, resume=True)
    assert sorted(pd.read_csv(output)["path"]) == sorted(map(str, photos))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_list_may_begin_with_the_mark_of_its_encoding(encoding, tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "list.txt").write_text(mark + "\r\n".join(map(str, photos[:2])), encoding=encoding)
    assert list(predict(run, [f"@{tmp_path / 'list.txt'}"])["path"]) == list(map(str, photos[:2]))


def test_a_name_that_can_be_no_file_is_one_row_of_a_list(tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    (tmp_path / "list.txt").write_text(f"{photos[0]}\n{'a' * 300}.jpg\n")
    assert list(predict(run, [f"@{tmp_path / 'list.txt'}"])["label"].notna()) == [True, False]


def test_what_the_command_writes_into_the_folder_of_the_photos_is_none_of_them(tmp_path):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    output, into = tmp_path / "photos" / "answers.parquet", tmp_path / "photos" / "sorted"
    first = predict_files(run, [tmp_path / "photos"], output=output, into=into, copy=True)
    (tmp_path / "photos" / "answers.parquet.part").touch()
    again = predict_files(run, [tmp_path / "photos"], output=output, resume=True, into=into, copy=True)
    assert [each.path for each in again.answers] == [each.path for each in first.answers] == list(map(str, photos))
    assert sum(each.is_file() for each in into.rglob("*")) == len(photos)


def test_a_photo_that_cannot_be_copied_stops_no_other(tmp_path, capsys):
    run, photos = run_of(tmp_path / "run"), photos_of_many_kinds(tmp_path / "photos")
    broken = tmp_path / "broken.jpg"
    broken.symlink_to(tmp_path / "gone.jpg")
    predict_files(run, [broken, *photos], into=tmp_path / "sorted", copy=True)
    assert sum(each.is_file() for each in (tmp_path / "sorted").rglob("*")) == len(photos)
    assert "broken.jpg cannot be copied: No such file or directory" in capsys.readouterr().err


def test_a_class_has_a_folder_of_its_own_whatever_it_is_called():
    long = "\u732b" * 90
    names = (UNSURE, UNLIKE, long, f"{long}2", "a/b", "caf\udce9")
    folders = sorting._folders(names)
    assert len({each.casefold() for each in folders.values()} | {UNSURE, UNLIKE}) == len(names) + 2
    assert all(len(each.encode()) < 200 for each in folders.values())
    said = Answer.of(Path("a.jpg"), names, np.eye(6)[5], False, 0.0).label
    assert said in folders and said.encode()
