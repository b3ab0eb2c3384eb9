"""`--json`: the structure alone on standard output, and every field of it on the page that lists them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from small_curves import write_curve

import headstart
from headstart.cli import main
from headstart.results.files import read_json
from headstart.results.learning_curve import read_curve

PAGE = (Path(headstart.__file__).parent.parent / "docs" / "json.md").read_text(encoding="utf-8")
JSON_COMMANDS = ["compare photos", "learning-curve photos", "check photos", "predict run photos", "cache"]


@pytest.fixture
def curve(tmp_path):
    return read_curve(write_curve(tmp_path / "curve"))


@pytest.fixture
def printed(curve, monkeypatch, capsys, tmp_path):
    """What a command prints: nothing is trained, and a data set is not read."""
    from headstart.data.audit import Audit, Finding
    from headstart.data.photos import Photos
    from headstart.inference.answers import Answer
    from headstart.inference.predict import Predicted

    found = Audit("photos", "f", (Finding("grey", 1, "1 grey image"),), np.array([True, False]), np.array([1, 1]), {})
    monkeypatch.setattr("headstart.experiments.compare.run_comparison", lambda *asked: curve.largest)
    monkeypatch.setattr("headstart.experiments.learning_curve.run_learning_curve", lambda *asked: curve)
    monkeypatch.setattr("headstart.data.audit.check", lambda data, **options: found)
    answers = [Answer("a.jpg", "cat", 0.9, "dog", 0.1), Answer("b.jpg", doubt="no image")]
    predicted = Predicted(
        answers, Photos([Path("a.jpg"), Path("b.jpg")], Counter({"a video": 1}), []), None, "torch", 1.0, 2
    )
    monkeypatch.setattr("headstart.inference.predict.predict_files", lambda *asked, **options: predicted)

    def run(command: str) -> dict:
        try:
            main([*command.split(), "--json"])
        except SystemExit as ended:
            assert ended.code == 1
        return json.loads(capsys.readouterr().out)

    return run


def test_a_comparison_and_a_curve_are_printed_as_their_files_keep_them(printed, curve):
    assert printed("compare photos") == read_json(curve.largest.folder / "comparison.json")
    curve.save()
    assert printed("learning-curve photos") == read_json(curve.folder / "curve.json")


def test_what_verify_found_is_a_list(printed, curve):
    curve.save()
    found = printed(f"verify {curve.folder}")
    assert found["folder"] == str(curve.folder)
    assert any("SHA256SUMS is missing" in each for each in found["findings"])


def test_answers_are_a_list_and_what_could_not_be_read_is_counted(printed):
    found = printed("predict run photos")
    assert [(each["path"], each["label"], each["doubt"]) for each in found["answers"]] == [
        ("a.jpg", "cat", ""),
        ("b.jpg", None, "no image"),
    ]
    assert (found["unreadable"], found["aside"]) == (1, {"a video": 1})


def test_what_the_cache_holds_is_a_list(printed, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "kept"))
    assert printed("cache")["entries"] == []
    held = tmp_path / "kept" / "cifar10"
    held.mkdir(parents=True)
    (held / "archive.tar.gz").write_bytes(b"12345")
    entry = {"collection": "cifar10", "kind": "cifar10", "bytes": 5}
    found = printed("cache")
    assert (found["entries"], found["cleared"], found["folder"]) == ([entry], False, str(tmp_path / "kept"))
    assert printed("cache clear")["entries"] == [entry]
    assert printed("cache")["entries"] == []


@pytest.mark.parametrize("command", JSON_COMMANDS)
def test_every_field_is_on_the_page(command, printed):
    section = PAGE.split(f"`headstart {command.split()[0]} ")[1].split("\n## ")[0]
    for field in printed(command):
        assert f"`{field}`" in section, field


def test_every_exit_code_is_on_its_page_and_in_the_help(capsys):
    from headstart.runtime.failures import FAILED, INTERRUPTED, PIPE_CLOSED, USER_ERROR

    page = (Path(headstart.__file__).parent.parent / "docs" / "decisions" / "failures.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for code in (0, FAILED, USER_ERROR, INTERRUPTED, PIPE_CLOSED):
        assert f"| {code} |" in page
        assert f" {code} " in " ".join(shown.split())
