"""`--help` of every command: a screen, and a line that can be typed."""

from __future__ import annotations

import shlex

import pytest

from headstart.arguments import COMMANDS, make_parser
from headstart.cli import main


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_fits_a_screen_and_ends_with_a_line_that_can_be_typed(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    said, example = lines[-1].split(": ", 1)
    assert said == "example"
    name, *arguments = shlex.split(example)
    assert name == "headstart"
    assert make_parser().parse_args(arguments).command == (command or "compare")
