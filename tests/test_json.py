"""`--json`: the structure alone on standard output, and every field of it on the page that lists them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_curves import write_curve

import headstart
from headstart.cli import main
from headstart.results.files import read_json
from headstart.results.learning_curve import read_curve

PAGE = (Path(headstart.__file__).parent.parent / "docs" / "json.md").read_text(encoding="utf-8")


@pytest.fixture
def curve(tmp_path):
    return read_curve(write_curve(tmp_path / "curve"))


@pytest.fixture
def printed(curve, monkeypatch, capsys, tmp_path):
    """What a command prints: nothing is trained, and a data set is not read."""
    from headstart.data.audit import Audit, Finding

    found = Audit("photos", "f", (Finding("grey", 1, "1 grey image"),), np.array([True, False]), np.array([1, 1]), {})
    monkeypatch.setattr("headstart.experiments.compare.run_comparison", lambda *asked: curve.largest)
    monkeypatch.setattr("headstart.experiments.learning_curve.run_learning_curve", lambda *asked: curve)
    monkeypatch.setattr("headstart.data.audit.check", lambda data, **options: found)

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


@pytest.mark.parametrize("command", ["compare photos", "learning-curve photos", "check photos"])
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
