"""Folders that an older headstart left, and those that a newer one will leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from schema_1 import as_schema_1

import headstart as hs
from headstart.cli import main
from headstart.evaluation.scores import SCORES
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.comparison import compare_runs
from headstart.results.files import read_json, write_json
from headstart.results.verification import verify


@pytest.fixture
def old(folder) -> Path:
    """A comparison of one strategy with two seeds, as schema 1 has it."""
    return as_schema_1(folder)


def test_runs_of_schema_1_are_found_and_compared(old):
    assert sorted(path.relative_to(old).as_posix() for path in old.glob("base-cnn/*")) == [
        *("base-cnn/seed0", "base-cnn/seed1"),
    ]
    assert not any(key in read_json(old / "base-cnn" / "seed0" / runs.CONFIG) for key in ("schema", "candidate"))
    comparison = compare_runs(old)
    named = [(row["candidate"], row["strategy"], row["split"], row["seed"]) for row in comparison.rows]
    assert named == [("base-cnn", "base-cnn", "holdout", 0), ("base-cnn", "base-cnn", "holdout", 1)]
    assert comparison.is_complete
    assert set(comparison.rows[0]) >= SCORES.keys()


def test_the_order_of_a_folder_of_schema_1_is_that_of_its_table(old):
    second = shutil.copytree(old / "base-cnn", old / "a-cnn")
    for run in map(runs.Run, second.iterdir()):
        write_json(run.folder / runs.CONFIG, run.config | {"strategy": run.config["strategy"] | {"name": "a-cnn"}})
    assert list(compare_runs(old).table().index) == ["base-cnn", "a-cnn"]


def test_a_folder_of_schema_1_is_verified_and_what_was_edited_is_found(old):
    assert verify(old) == []
    assert verify(old / "base-cnn" / "seed1") == []
    run = runs.Run(old / "base-cnn" / "seed0")
    edits = {
        runs.METRICS: ({"accuracy": 0.123}, {"seed": 7}, {"strategy": "last20"}),
        runs.CONFIG: ({"seed": 7}, {"strategy": run.config["strategy"] | {"name": "last20"}}),
    }
    for file, changes in edits.items():
        before = read_json(run.folder / file)
        for change in changes:
            write_json(run.folder / file, before | change)
            write_checksums(old)
            (key,) = change
            assert any(f"base-cnn/seed0/{file}: {key}" in line for line in verify(old)), change
        write_json(run.folder / file, before)
    write_checksums(old)
    assert verify(old) == []


def test_report_and_slides_of_schema_1_are_made_again(old, capsys):
    for command in ("report", "slides"):
        main([command, str(old)])
    assert capsys.readouterr().out.split() == [str(old / runs.REPORT), str(old / runs.SLIDES)]
    assert verify(old) == []
    assert read_json(old / runs.COMPARISON)["schema"] == runs.SCHEMA
    assert compare_runs(old).is_complete


def test_a_classifier_of_schema_1_predicts(old, tiny):
    logits, _, names = runs.Run(old / "base-cnn" / "seed0").predictions()
    for classifier in (hs.Classifier.load(old / "base-cnn" / "seed0"), compare_runs(old).best):
        assert list(classifier.predict(tiny.test.images)) == [names[label] for label in logits.argmax(axis=1)]


@pytest.mark.parametrize("file", [runs.REQUEST, runs.COMPARISON, f"base-cnn/holdout-seed0/{runs.CONFIG}"])
@pytest.mark.parametrize("command", ["report", "slides", "verify"])
def test_a_folder_of_a_newer_headstart_is_refused_in_one_line(file, command, folder, capsys):
    write_json(folder / file, read_json(folder / file) | {"schema": runs.SCHEMA + 1})
    write_checksums(folder)
    before = (folder / runs.REPORT).read_bytes()
    with pytest.raises(SystemExit) as ended:
        main([command, str(folder)])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert f"newer headstart (schema {runs.SCHEMA + 1}; this one reads up to {runs.SCHEMA}): update it" in line
    assert (folder / runs.REPORT).read_bytes() == before


def test_a_run_of_a_newer_headstart_is_neither_verified_nor_loaded(folder):
    place = folder / "base-cnn" / "holdout-seed0"
    write_json(place / runs.CONFIG, read_json(place / runs.CONFIG) | {"schema": "next"})
    write_checksums(folder)
    for read in (verify, hs.Classifier.load):
        with pytest.raises(hs.HeadstartError, match=r"newer headstart \(schema next"):
            read(place)


def test_a_comparison_of_a_newer_headstart_is_not_gone_on_with(folder, tiny):
    write_json(folder / runs.REQUEST, read_json(folder / runs.REQUEST) | {"schema": runs.SCHEMA + 1})
    with pytest.raises(hs.HeadstartError, match="newer headstart"):
        hs.compare(tiny, strategies=["base-cnn"], epochs=1, seed=[0, 1], device="cpu", output=folder)
