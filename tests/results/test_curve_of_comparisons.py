from __future__ import annotations

import json

import pytest
from small_curves import GROWTH, TEST_IMAGES, write_curve

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.comparison import ROW
from headstart.results.learning_curve import read_curve
from headstart.results.verification import verify


def test_accuracy_is_told_by_size_and_strategy(tmp_path):
    curve = read_curve(write_curve(tmp_path, seeds=(0, 1), spread=0.02))
    assert list(curve.comparisons) == [100, 300, 1000, 3000]
    assert curve.strategies == ["deep-cnn", "last20"]
    assert curve.test_images == TEST_IMAGES
    for size, accuracies in GROWTH.items():
        for name, accuracy in accuracies.items():
            assert curve.table().loc[size, name] == pytest.approx(accuracy - 0.01)
    assert curve.accuracies("last20") == (
        [100, 100, 300, 300, 1000, 1000, 3000, 3000],
        pytest.approx([0.70, 0.68, 0.78, 0.76, 0.83, 0.81, 0.86, 0.84]),
    )


def test_what_starts_from_scratch_catches_up_with_what_is_pretrained(tmp_path):
    curve = read_curve(write_curve(tmp_path))
    assert list(curve.crossings) == [("deep-cnn", "last20")]
    assert curve.crossings["deep-cnn", "last20"].images == pytest.approx(
        1000 * 3 ** (5 / 7), abs=1
    )  # 5 behind, 2 ahead


def test_two_from_scratch_do_not_cross(tmp_path):
    growth = {size: {"base-cnn": 0.5, "deep-cnn": 0.4 + size / 1000} for size in (100, 300)}
    assert read_curve(write_curve(tmp_path, growth)).crossings == {}


def test_what_is_saved_is_the_contract(tmp_path):
    curve = read_curve(write_curve(tmp_path))
    curve.save()
    saved = json.loads((tmp_path / runs.CURVE).read_text())
    assert list(saved) == ["asked", "dataset", "sizes", "runs", "laws", "one_more_point", "crossings"]
    assert saved["sizes"] == [100, 300, 1000, 3000]
    assert list(saved["runs"][0]) == ["train_images", *ROW]
    assert saved["laws"].keys() == saved["one_more_point"].keys() == {"deep-cnn", "last20"}
    assert saved["one_more_point"]["last20"].keys() == {"images", "low", "high", "beyond"}
    assert saved["crossings"][0].keys() == {"from_scratch", "pretrained", "images", "smallest", "largest"}
    assert (tmp_path / runs.CURVE_TABLE).read_text().splitlines()[0] == ",".join(["train_images", *ROW])
    assert read_curve(tmp_path).rows == curve.rows  # saving it changed nothing


def test_an_unfinished_size_does_not_count(tmp_path):
    write_curve(tmp_path)
    (tmp_path / "3000" / runs.CHECKSUMS).unlink()
    assert list(read_curve(tmp_path).comparisons) == [100, 300, 1000]
    for size in ("1000", "300"):
        (tmp_path / size / runs.CHECKSUMS).unlink()
    with pytest.raises(HeadstartError, match="holds 1 finished training sizes"):
        read_curve(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("dataset", "another", "other data than"), ("backbone", "another", "another backbone than")],
)
def test_comparisons_of_other_data_or_another_backbone_are_no_curve(key, value, said, tmp_path):
    write_curve(tmp_path)
    path = tmp_path / "3000" / "last20" / "seed0" / runs.CONFIG
    config = runs.read_json(path)
    runs.write_json(path, config | {key: config[key] | {"name": value}})
    if key == "dataset":
        other = tmp_path / "3000" / "deep-cnn" / "seed0" / runs.CONFIG
        runs.write_json(other, runs.read_json(other) | {"dataset": config[key] | {"name": value}})
    with pytest.raises(HeadstartError, match=said):
        read_curve(tmp_path)


def test_an_edited_curve_is_found_though_the_checksums_were_made_anew(tmp_path):
    curve = read_curve(write_curve(tmp_path))
    curve.save()
    saved = runs.read_json(tmp_path / runs.CURVE)
    saved["crossings"][0]["images"] = 500
    runs.write_json(tmp_path / runs.CURVE, saved)
    runs.write_checksums(tmp_path)
    findings = [line for line in verify(tmp_path) if line.startswith("curve.json")]
    assert findings == [
        f"curve.json: crossings[0].images is 500, and follows as {curve.crossings['deep-cnn', 'last20'].images}"
    ]
