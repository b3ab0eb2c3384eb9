from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from schema_1 import curve_as_schema_1
from small_curves import GROWTH, TEST_IMAGES, write_curve

from headstart.errors import HeadstartError
from headstart.evaluation.scores import SCORES
from headstart.report.learning_curve import print_curve, write_figure
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import KEYS
from headstart.results.files import read_json, write_json
from headstart.results.learning_curve import FOLLOWS_SIZE, read_curve
from headstart.results.verification import verify
from headstart.strategies import STRATEGIES, with_enough_steps


def test_accuracy_is_told_by_size_and_strategy(tmp_path):
    curve = read_curve(write_curve(tmp_path, seeds=(0, 1), spread=0.02))
    assert list(curve.comparisons) == [100, 300, 1000, 3000]
    assert curve.candidates == ["deep-cnn", "last20"]
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
    assert list(saved) == ["schema", "dataset", "sizes", "runs", "no_law", "laws", "one_more_point", "crossings"]
    assert saved["sizes"] == [100, 300, 1000, 3000]
    assert list(saved["runs"][0]) == ["train_images", *KEYS, *SCORES]
    assert saved["no_law"] is None
    assert saved["laws"].keys() == saved["one_more_point"].keys() == {"deep-cnn", "last20"}
    assert saved["one_more_point"]["last20"].keys() == {"images", "low", "high", "beyond"}
    assert saved["crossings"][0].keys() == {"from_scratch", "pretrained", "images", "smallest", "largest"}
    assert (tmp_path / runs.CURVE_TABLE).read_text().splitlines()[0] == ",".join(["train_images", *KEYS, *SCORES])
    assert read_curve(tmp_path).rows == curve.rows  # saving it changed nothing


def test_from_three_sizes_nothing_is_said_beyond_them(tmp_path):
    curve = read_curve(write_curve(tmp_path, {size: GROWTH[size] for size in (300, 1000, 3000)}))
    curve.save()
    saved = read_json(tmp_path / runs.CURVE)
    assert saved["no_law"] == ("Nothing is said beyond 3,000 training images: that takes 4 sizes, and 3 were measured.")
    assert saved["laws"] == saved["one_more_point"] == {}
    assert saved["crossings"][0]["images"] == curve.crossings["deep-cnn", "last20"].images > 1000
    finish(tmp_path)
    assert verify(tmp_path) == []


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
    path = tmp_path / "3000" / "last20" / "holdout-seed0" / runs.CONFIG
    config = read_json(path)
    write_json(path, config | {key: config[key] | {"name": value}})
    if key == "dataset":
        other = tmp_path / "3000" / "deep-cnn" / "holdout-seed0" / runs.CONFIG
        write_json(other, read_json(other) | {"dataset": config[key] | {"name": value}})
    with pytest.raises(HeadstartError, match=said):
        read_curve(tmp_path)


def finish(folder: Path) -> None:
    """Make all checksums of a learning curve anew, as if nothing had been changed in it."""
    for size in runs.finished_sizes(folder):
        write_checksums(runs.folder_of_size(folder, size))
    write_checksums(folder)


def edit_config(folder: Path, **changes: dict) -> None:
    """Change some of what a run's config.json says."""
    config = read_json(folder / runs.CONFIG)
    write_json(folder / runs.CONFIG, config | {key: config[key] | value for key, value in changes.items()})


def test_a_finished_curve_is_verified(tmp_path):
    read_curve(write_curve(tmp_path)).save()
    finish(tmp_path)
    assert verify(tmp_path) == []


def test_other_weights_of_the_same_name_are_another_backbone(tmp_path):
    read_curve(write_curve(tmp_path, seeds=(0, 1))).save()
    edit_config(tmp_path / "3000" / "last20" / "holdout-seed1", backbone={"sha256": "other"})
    finish(tmp_path)
    with pytest.raises(HeadstartError, match=r"holdout-seed1 has another backbone than .*100/last20/holdout-seed0"):
        read_curve(tmp_path)
    (line,) = verify(tmp_path)
    assert "another backbone than" in line


def test_two_recipes_are_no_curve(tmp_path):
    read_curve(write_curve(tmp_path)).save()
    edit_config(tmp_path / "1000" / "deep-cnn" / "holdout-seed0", strategy={"recipe": {"mixup": 0.4}})
    finish(tmp_path)
    with pytest.raises(HeadstartError, match=r"1000/deep-cnn/holdout-seed0 has another recipe than .*100/deep-cnn"):
        read_curve(tmp_path)
    (line,) = verify(tmp_path)
    assert "another recipe than" in line


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=lambda strategy: strategy.name)
def test_what_follows_from_the_number_of_images_is_no_other_recipe(strategy):
    few, many = (asdict(with_enough_steps(strategy, images).recipe) for images in (100, 45_000))
    assert few != many or strategy.name == "random-init"
    assert {name for name in few if few[name] != many[name]} <= set(FOLLOWS_SIZE)


def test_more_epochs_of_few_images_are_the_same_recipe(tmp_path):
    read_curve(write_curve(tmp_path)).save()
    for size, epochs in zip(("100", "300", "1000", "3000"), (90, 30, 9, 5), strict=True):
        recipe = {"epochs": epochs, "validate_every": epochs // 5, "patience": epochs // 2, "mixup": 0.2}
        edit_config(tmp_path / size / "last20" / "holdout-seed0", strategy={"recipe": recipe})
    finish(tmp_path)
    assert len(read_curve(tmp_path).comparisons) == 4
    assert verify(tmp_path) == []


def test_a_curve_of_schema_1_is_read_and_verified(tmp_path):
    curve = read_curve(write_curve(tmp_path, seeds=(0, 1), spread=0.02))
    curve.save()
    curve_as_schema_1(tmp_path, {"fingerprint": "f", "strategies": ["deep-cnn", "last20"], "seeds": [0, 1]})
    again = read_curve(tmp_path)
    assert again.request["strategies"] == ["deep-cnn", "last20"]
    assert again.rows == curve.rows
    assert verify(tmp_path) == []
    edit_config(tmp_path / "300" / "last20" / "seed1", backbone={"sha256": "other"})
    finish(tmp_path)
    (line,) = verify(tmp_path)
    assert "300/last20/seed1 has another backbone than" in line


@pytest.mark.parametrize("file", [runs.REQUEST, runs.CURVE])
def test_a_curve_of_a_newer_headstart_is_refused(file, tmp_path):
    read_curve(write_curve(tmp_path)).save()
    write_json(tmp_path / file, read_json(tmp_path / file) | {"schema": runs.SCHEMA + 1})
    for read in (read_curve, verify):
        with pytest.raises(HeadstartError, match="newer headstart"):
            read(tmp_path)


def test_an_edited_curve_is_found_though_the_checksums_were_made_anew(tmp_path):
    curve = read_curve(write_curve(tmp_path))
    curve.save()
    saved = read_json(tmp_path / runs.CURVE)
    saved["crossings"][0]["images"] = 500
    write_json(tmp_path / runs.CURVE, saved)
    write_checksums(tmp_path)
    findings = [line for line in verify(tmp_path) if line.startswith("curve.json")]
    assert findings == [
        f"curve.json: crossings[0].images is 500, and follows as {curve.crossings['deep-cnn', 'last20'].images}"
    ]


def test_a_candidate_that_a_size_lacks_has_a_gap_and_the_others_their_law(tmp_path):
    growth = {size: dict(accuracies) for size, accuracies in GROWTH.items()}
    del growth[100]["deep-cnn"]
    growth[300]["frozen"] = 0.5
    curve = read_curve(write_curve(tmp_path, growth))
    curve.save()
    assert list(curve.laws) == ["last20"] and curve.left_out == ["frozen"]
    assert (
        curve.no_law
        == "Nothing is said of deep-cnn beyond 3,000 training images: that takes 4 sizes, and 3 were measured."
    )
    assert curve.crossings["deep-cnn", "last20"].smallest == 300
    assert "<td>-</td>" in curve._repr_html_()
    print_curve(curve)
    assert write_figure(curve).stat().st_size > 10_000
