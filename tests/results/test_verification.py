from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headstart.cli import main
from headstart.results import runs
from headstart.results.checksums import files_of, write_checksums
from headstart.results.files import read_json, write_json
from headstart.results.scores import scores_of
from headstart.results.verification import changed_files, verify

FLIPS = 1000


def flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_what_compare_leaves_is_right_in_whole_and_in_each_run(finished, capsys):
    for folder in (finished, finished / "base-cnn" / "holdout-seed0", finished / "base-cnn" / "holdout-seed1"):
        main(["verify", str(folder)])
        out = capsys.readouterr().out
        assert out.startswith(f"{folder}: every file is as it was written")
        assert out.count("\n") == 1


def test_a_run_is_verified_from_within_its_folder_too(finished, monkeypatch):
    monkeypatch.chdir(finished / "base-cnn" / "holdout-seed0")
    assert verify(Path()) == []


def test_every_flip_of_one_bit_in_any_file_is_found(folder):
    names = [*files_of(folder), runs.CHECKSUMS]
    generator = random.Random(0)
    for number in range(FLIPS):
        name = names[number % len(names)]
        path = folder / name
        place, bit = generator.randrange(path.stat().st_size), generator.randrange(8)
        flip(path, place, bit)
        below = "" if name == runs.CHECKSUMS else name  # of the other files nothing has changed
        assert changed_files(folder, below), f"bit {bit} of byte {place} of {name}"
        flip(path, place, bit)
    assert changed_files(folder) == []


def test_a_damaged_file_is_a_finding_whatever_reading_it_raises(folder):
    generator = random.Random(1)
    for name in [*files_of(folder), runs.CHECKSUMS]:
        path = folder / name
        content = path.read_bytes()
        for damaged in (b"", b"{}\n", content[: len(content) // 2], generator.randbytes(len(content))):
            path.write_bytes(damaged)
            assert verify(folder), name
        path.write_bytes(content)


def test_a_file_that_a_flip_made_one_of_a_newer_schema_is_a_finding(folder):
    path = folder / runs.COMPARISON
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace(f'"schema": {runs.SCHEMA}', f'"schema": {runs.SCHEMA + 1}', 1), encoding="utf-8")
    assert [f"{runs.COMPARISON} is not as it was written: its SHA-256 differs"] == verify(folder)


def leaves(content: Any, way: tuple = ()) -> Iterator[tuple]:
    """The way to every number and text of a JSON file."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if items is None:
        yield way
    else:
        for key, value in items:
            yield from leaves(value, (*way, key))


def edited(content: Any, way: tuple) -> Any:
    """The same, with one value changed as little as can be written."""
    content = copy.deepcopy(content)
    inner = content
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = changed(inner[way[-1]])
    return content


def changed(value: Any) -> Any:
    if isinstance(value, float):
        return value * (1 + 1e-9) or 1e-9
    return value + 1 if isinstance(value, int) else f"{value}!"


def test_every_edited_metric_is_found_though_the_checksums_were_made_anew(folder):
    run = runs.Run(folder / "base-cnn" / "holdout-seed0")
    metrics = run.metrics
    ways = list(leaves({"candidate": "", "split": "", "seed": 0} | json.loads(json.dumps(scores_of(run)))))
    assert len(ways) > 30
    for way in ways:
        write_json(run.folder / runs.METRICS, edited(metrics, way))
        write_checksums(folder)
        findings = verify(run.folder)
        assert len(findings) == 1
        assert findings[0].startswith(f"base-cnn/holdout-seed0/metrics.json: {way[0]}")


def test_every_edit_of_the_comparison_is_found_though_the_checksums_were_made_anew(folder):
    path = folder / runs.COMPARISON
    comparison = read_json(path)
    ways = {way[0]: way for way in leaves(comparison) if way != ("schema",)}.values()  # a later one is refused
    ways = [("strategies", 0, "accuracy"), *ways]
    assert len(ways) > len(comparison) / 2
    for way in ways:
        write_json(path, edited(comparison, way))
        write_checksums(folder)
        assert any(line.startswith("comparison.json") for line in verify(folder)), way


def test_a_score_that_is_wrong_in_metrics_and_comparison_alike_is_found(folder):
    run = runs.Run(folder / "base-cnn" / "holdout-seed0")
    write_json(run.folder / runs.METRICS, run.metrics | {"accuracy": 0.99})
    comparison = read_json(folder / runs.COMPARISON)
    comparison["strategies"][0]["accuracy"] = 0.99
    write_json(folder / runs.COMPARISON, comparison)
    write_checksums(folder)
    said = "base-cnn/holdout-seed0/metrics.json: accuracy is 0.99, and follows as"
    assert any(said in line for line in verify(folder))


@pytest.mark.parametrize(
    "old, new", [(b'"seed": 0', b'"seed": 0.0'), (b'{\n  "candidate"', b'{\n  "f1_macro": 1, "candidate"')]
)
def test_numbers_of_another_kind_and_doubled_keys_are_found(folder, old, new):
    path = folder / "base-cnn" / "holdout-seed0" / runs.METRICS
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    write_checksums(folder)
    assert len(verify(path.parent)) == 1


def test_an_edited_table_and_an_edited_class_name_are_found(folder):
    table = folder / runs.TABLE
    table.write_text(table.read_text().replace("base-cnn", "best-cnn", 1))
    write_checksums(folder)
    assert verify(folder) == ["comparison.csv is not what the runs give"]
    config = folder / "base-cnn" / "holdout-seed1" / runs.CONFIG
    config.write_text(config.read_text().replace('"green"', '"grey"'))
    write_checksums(folder)
    said = 'base-cnn/holdout-seed1/config.json: dataset.class_names[1] is "grey", and follows as "green"'
    assert said in verify(folder)


def test_files_without_a_line_and_lines_without_a_file_are_findings(folder, capsys):
    (folder / "figures" / "curves.png").unlink()
    (folder / "figures" / "better.png").write_bytes(b"drawn by hand")
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(folder)])
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "figures/better.png has no line in SHA256SUMS: it was not there when all was done",
        "figures/curves.png is missing",
    ]


def test_a_run_is_told_of_its_own_files_only(folder):
    flip(folder / "base-cnn" / "holdout-seed1" / runs.MODEL, 1000, 3)
    assert verify(folder / "base-cnn" / "holdout-seed0") == []
    assert verify(folder / "base-cnn" / "holdout-seed1") == [
        "base-cnn/holdout-seed1/model.safetensors is not as it was written: its SHA-256 differs"
    ]


def test_an_unfinished_comparison_says_so(folder):
    (folder / runs.CHECKSUMS).unlink()
    assert any("SHA256SUMS is missing" in line for line in verify(folder))


@pytest.mark.parametrize("place", ["nowhere", "."])
def test_a_folder_that_is_no_run_is_one_line_and_exit_code_2(place, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / place)])
    assert ended.value.code == 2
    assert "is no run's folder" in capsys.readouterr().err


def test_verifying_does_not_import_torch(finished):
    code = (
        "import sys\nfrom headstart.cli import main\n"
        f"main(['verify', {str(finished)!r}])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
