from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.checksums import read_checksums, renew_checksums, write_checksums
from headstart.results.files import read_json, write_json, write_table
from headstart.results.pictures import Pictures, read_pictures, write_pictures
from headstart.results.request import read_request


def test_a_folder_of_a_newer_headstart_is_refused_in_one_line(tmp_path):
    for file in (runs.REQUEST, runs.CONFIG):
        write_json(tmp_path / file, {"schema": runs.SCHEMA + 1})
    for read in (lambda: runs.kind_of(tmp_path), lambda: runs.Run(tmp_path).config, lambda: read_request(tmp_path)):
        with pytest.raises(HeadstartError, match=f"newer headstart .schema {runs.SCHEMA + 1}; this one reads up to"):
            read()


def test_each_file_of_a_run_is_read_once(tmp_path, monkeypatch):
    write_json(tmp_path / runs.METRICS, {"accuracy": 0.5})
    read = []
    monkeypatch.setattr(runs, "read_json", lambda path: read.append(path.name) or {"accuracy": 0.5})
    run = runs.Run(tmp_path)
    assert [run.metrics["accuracy"] for _ in range(38)] == [0.5] * 38
    assert read == [runs.METRICS]


def test_a_run_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), runs.new_run(tmp_path / "frozen" / "holdout-seed0") as folder:
        write_json(folder / runs.METRICS, {"accuracy": 1 / 0})
    assert runs.find_runs(tmp_path) == []
    assert list(tmp_path.rglob("*.json")) == []


def test_runs_are_found_by_strategy_and_numerically_by_seed(tmp_path):
    for seed in (10, 2, 0):
        with runs.new_run(runs.run_folder(tmp_path, "frozen", "holdout", seed)) as folder:
            write_json(folder / runs.METRICS, {"seed": seed})
    assert [run.metrics["seed"] for run in runs.find_runs(tmp_path)] == [0, 2, 10]


def test_predictions_come_back_with_their_types(tmp_path):
    test, val = ((np.full((2, 3), value), np.array([0, 2], np.int32)) for value in (1, 2))
    runs.write_predictions(tmp_path, ["a", "b", "日本"], test=test, val=val)
    for split, value in (("test", 1), ("val", 2)):
        logits, labels, names = runs.Run(tmp_path).predictions(split)
        assert (logits.dtype, labels.dtype) == (np.float32, np.int64)
        assert (logits == value).all()
        assert names == ["a", "b", "日本"]


def test_a_damaged_or_missing_file_is_named(tmp_path):
    with pytest.raises(HeadstartError, match=r"metrics\.json is missing"):
        _ = runs.Run(tmp_path).metrics
    (tmp_path / runs.METRICS).write_text("{")
    with pytest.raises(HeadstartError, match=r"metrics\.json is damaged"):
        _ = runs.Run(tmp_path).metrics


def test_a_number_that_json_lacks_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / runs.METRICS
    write_json(path, {"loss": 1.0})
    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == {"loss": 1.0}
    assert [file.name for file in tmp_path.iterdir()] == [runs.METRICS]


def test_small_pictures_come_back_as_they_were(tmp_path):
    counts = np.array([[1, 2], [3, 4], [5, 6]])
    heats = {("base-cnn", 7, 1): b"warm", ("last20", 7, 0): b"", ("last20", 3, 1): b"cold"}
    kept = Pictures({7: b"seven", 3: b""}, [(1, b"one"), (0, b"nought")], [b"doubt"], counts, heats)
    write_pictures(tmp_path, kept)
    found = read_pictures(tmp_path)
    assert (found.tests, found.samples, found.suspects) == (kept.tests, kept.samples, kept.suspects)
    assert found.heats == kept.heats
    assert (found.counts == kept.counts).all()
    with np.load(tmp_path / runs.EXAMPLES, allow_pickle=False) as saved:
        assert all(saved[name].dtype != object for name in saved)


def test_small_pictures_of_a_folder_older_than_heat_maps_are_read(tmp_path):
    counts = np.array([[1], [1], [1]])
    write_pictures(tmp_path, Pictures({7: b"seven"}, [(1, b"one")], [b"doubt"], counts, {}))
    with np.load(tmp_path / runs.EXAMPLES, allow_pickle=False) as saved:
        old = {name: saved[name] for name in saved if not name.startswith("heat_")}
    np.savez(tmp_path / runs.EXAMPLES, **old)
    found = read_pictures(tmp_path)
    assert (found.tests, found.suspects, found.heats) == ({7: b"seven"}, [b"doubt"], {})


def test_a_folder_without_small_pictures_has_none_and_a_damaged_file_is_named(tmp_path):
    assert read_pictures(tmp_path) is None
    for content in (b"", b"no archive", b"PK\x03\x04 cut off"):
        (tmp_path / runs.EXAMPLES).write_bytes(content)
        with pytest.raises(HeadstartError, match=r"examples\.npz is damaged"):
            read_pictures(tmp_path)


def test_no_text_of_a_table_is_a_formula_and_numbers_stay_numbers(tmp_path):
    names = ["=cmd()", "+1", "-1", "@sum", "\tx", "cat", "a=b", '=HYPERLINK("x","y")', None]
    write_table(tmp_path / "t.csv", pd.DataFrame({"=class": names, "loss": -1.5}))
    found = pd.read_csv(tmp_path / "t.csv")
    assert list(found) == ["'=class", "loss"]
    assert list(found["'=class"].iloc[:-1]) == [f"'{name}" if name[0] in "=+-@\t" else name for name in names[:-1]]
    assert (found["loss"] == -1.5).all()


def test_json_is_written_to_ten_figures(tmp_path):
    write_json(tmp_path / runs.METRICS, {"accuracy": 2 / 3, "epochs": 3, "tiny": 1 / 3e12, "in": [{"whole": 2.0}]})
    assert read_json(tmp_path / runs.METRICS) == {
        **{"accuracy": 0.6666666667, "epochs": 3, "tiny": 3.333333333e-13},
        "in": [{"whole": 2.0}],
    }


@pytest.fixture
def finished(tmp_path):
    """A folder with checksums, of which `figures/a.png` and `metrics.json` have been changed since."""
    for name in ("figures/a.png", "figures/b.png", "metrics.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old")
    write_checksums(tmp_path)
    for name in ("figures/a.png", "metrics.json"):
        (tmp_path / name).write_text("new")
    return tmp_path


OLD, NEW = (hashlib.sha256(text).hexdigest() for text in (b"old", b"new"))


def test_checksums_are_written_as_sha256sum_writes_them(finished):
    assert (
        finished / runs.CHECKSUMS
    ).read_text() == f"{OLD}  figures/a.png\n{OLD}  figures/b.png\n{OLD}  metrics.json\n"
    assert read_checksums(finished) == dict.fromkeys(("figures/a.png", "figures/b.png", "metrics.json"), OLD)


def test_only_what_was_written_anew_has_its_checksum_renewed(finished):
    (finished / "figures" / "b.png").unlink()
    (finished / "report.html").write_text("new")
    renew_checksums(finished, runs.FIGURES, runs.REPORT)
    assert read_checksums(finished) == {"figures/a.png": NEW, "metrics.json": OLD, "report.html": NEW}


def test_a_folder_without_checksums_gets_none_by_renewing(tmp_path):
    renew_checksums(tmp_path, runs.REPORT)
    assert not runs.is_finished(tmp_path)


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"ab  metrics.json\n", b"%s  b\n%s  a\n", b"%s  a", b"%s *a\n"])
def test_checksums_in_another_form_are_refused(damaged, tmp_path):
    (tmp_path / runs.CHECKSUMS).write_bytes(damaged.replace(b"%s", OLD.encode()))
    with pytest.raises(HeadstartError, match="SHA256SUMS is damaged"):
        read_checksums(tmp_path)


def test_a_recommended_run_that_is_gone_is_told_in_a_line(tmp_path):
    with pytest.raises(HeadstartError, match="has no run of last20 any more: bring its folder back"):
        runs.classifier_of(tmp_path, "last20")
