"""What a shell needs to complete our commands: a script, written once, so that a Tab starts no Python."""

from __future__ import annotations

from dataclasses import fields

import shtab

from headstart.arguments import Commands, make_parser
from headstart.options import Options
from headstart.parser import is_path

NOT_FILES = ("repository",)  # what is typed without a name, and is neither a word of a few nor a file


def script(shell: str) -> str:
    """The script for a shell, one of `arguments.SHELLS`."""
    return shtab.complete(_completable(make_parser()), shell)


def _completable(parser: Commands) -> Commands:
    """A parser whose arguments say, as shtab reads it, what completes them."""
    words = {each.name: each.metadata.get("choices") for each in fields(Options)}
    for command in parser.of_commands().values():
        for action in command.options().values():
            if f"--{action.dest.replace('_', '-')}" in command.everywhere and words[action.dest]:
                action.choices = words[action.dest]
            elif is_path(action):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        for action in command.positionals():
            if not action.choices and action.dest not in NOT_FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return parser
