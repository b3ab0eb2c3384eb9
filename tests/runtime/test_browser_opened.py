from __future__ import annotations

import webbrowser
from types import SimpleNamespace

import pytest

from headstart.cli import main


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The addresses that a browser was asked for, as slides are made in a folder."""
    addresses = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not addresses.append(address))
    monkeypatch.setattr("headstart.results.comparison.compare_runs", lambda folder: SimpleNamespace(folder=folder))
    monkeypatch.setattr("headstart.report.slides.write_slides", lambda comparison: comparison.folder / "slides.pdf")
    return addresses


def test_what_was_made_is_shown_where_that_was_asked(asked, tmp_path, capsys):
    main(["slides", str(tmp_path)])
    assert asked == []
    main(["slides", str(tmp_path), "--open"])
    assert asked == [(tmp_path / "slides.pdf").as_uri()]
    assert capsys.readouterr().out.split() == [str(tmp_path / "slides.pdf")] * 2


@pytest.mark.parametrize("fails", [webbrowser.Error("no runnable browser"), OSError("no such file"), None])
def test_no_browser_is_a_line_and_no_failure(fails, asked, tmp_path, monkeypatch, capfd):
    def open_none(address):
        if fails:
            raise fails
        return False

    monkeypatch.setattr(webbrowser, "open", open_none)
    main(["slides", str(tmp_path), "--open"])
    assert f"no browser can be opened from here: open {tmp_path / 'slides.pdf'} in one" in capfd.readouterr().err
