"""Options from a file: headstart.toml, or [tool.headstart] of pyproject.toml, in the nearest folder that has one."""

from __future__ import annotations

import os
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.arguments import COMMANDS, make_parser
from headstart.errors import HeadstartError
from headstart.options import LONGS
from headstart.parser import Parser, is_path
from headstart.runtime.text import shown
from headstart.values import nearest

OWN, SHARED = "headstart.toml", "pyproject.toml"
NOT_TYPED = object()


def configured(typed: Sequence[str], command: str) -> tuple[list[str], str]:
    """What was typed for a command and, behind it, what the nearest file adds, which is said; and the file's name,
    empty where nothing is added.

    Options at the top of the file are for every command that has them; those in a table named by a command are for that
    alone, and win. What was typed wins over both. Raises HeadstartError for what no command has.
    """
    if (found := _nearest_file()) is None:
        return [*typed], ""
    file, content = found
    parser = make_parser()
    parsers = parser.of_commands()
    _refuse_unknown(file, content, parsers)
    options = parsers[command].options()
    parsers[command].set_defaults(**{action.dest: NOT_TYPED for action in options.values()})
    of_typed = {dest for dest, value in vars(parser.parse_args(typed)).items() if value is not NOT_TYPED}
    of_command = content.get(command, {})
    of_all = {key: value for key, value in content.items() if f"--{key}" in parsers[command].everywhere}
    of_all = _left_by({options[key].dest for key in of_command}, of_all, options)
    added: list[str] = []
    for key, value in _left_by(of_typed, of_all | of_command, options).items():
        try:
            added += _as_typed(f"--{key}", options[key], value, file.parent)
        except ValueError as error:
            raise HeadstartError(f"{shown(file)}: {key}: {value!r} {error}") from None
    if not added:
        return [*typed], ""
    print(f"{shown(file)}: {shlex.join(added)}", file=sys.stderr)
    at = typed.index(command) + 1
    typed = [*typed[:at], *parsers[command].with_place_first(typed[at:])]  # what is added would hide the place from it
    end = typed.index("--") if "--" in typed else len(typed)
    return [*typed[:end], *added, *typed[end:]], shown(file)


def _nearest_file() -> tuple[Path, dict[str, Any]] | None:
    """The file, as seen from here, and what it says; None where no folder from here upwards has one."""
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    for folder in (here, *here.parents):
        for name in (OWN, SHARED):
            file = Path(os.path.relpath(folder / name, here))
            # Path.is_file raises where a folder may not be looked into.
            if os.path.isfile(file) and (content := _read(file)) is not None:  # noqa: PTH113
                return file, content
    return None


def _read(file: Path) -> dict[str, Any] | None:
    """What a file says of headstart; None where it says nothing of it."""
    text = file.read_bytes()
    if file.name == SHARED and b"headstart" not in text:  # others' files are none of our business
        return None
    try:
        content = tomllib.loads(text.decode("utf-8"))
    except ValueError as error:
        raise HeadstartError(f"{shown(file)} cannot be read as TOML: {error}") from None
    if file.name != SHARED:
        return content
    tools = content.get("tool")
    said = tools.get("headstart") if isinstance(tools, dict) else None
    if not isinstance(said, dict | None):
        raise HeadstartError(f"{shown(file)}: tool.headstart is no table: write options under [tool.headstart]")
    return said


def _refuse_unknown(file: Path, content: Mapping[str, Any], parsers: Mapping[str, Parser]) -> None:
    """Raise HeadstartError for a key that is neither an option nor a command, with the near one."""
    everywhere = list(dict.fromkeys(flag[2:] for parser in parsers.values() for flag in parser.everywhere))
    for key, value in content.items():
        if key in parsers:
            if not isinstance(value, dict):
                raise HeadstartError(f"{shown(file)}: {key} is a command: its options are a table, [{key}]")
            if unknown := [name for name in value if name not in parsers[key].options()]:
                what = nearest(unknown[0], [*parsers[key].options()])
                raise HeadstartError(f"{shown(file)}: [{key}] has an unknown option {unknown[0]!r}{what}")
        elif key not in everywhere:
            if having := [command for command, parser in parsers.items() if key in parser.options()]:
                raise HeadstartError(
                    f"{shown(file)}: {key} is of {', '.join(having)} alone: write it under [{having[0]}]"
                )
            raise HeadstartError(f"{shown(file)}: unknown option {key!r}{nearest(key, [*everywhere, *COMMANDS])}")


def _left_by(stronger: set[str], values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that nothing stronger says, or makes needless."""
    if stronger & {*LONGS}:
        stronger = stronger | {*LONGS}
    return {key: value for key, value in values.items() if options[key].dest not in stronger}


def _as_typed(flag: str, action: Any, value: Any, folder: Path) -> list[str]:
    """A value of TOML as it would be typed; ValueError with what it must be. Paths are seen from the file's folder."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ValueError("is neither true nor false")
        return [flag] * value
    several = value if isinstance(value, list) else [value]
    if any(isinstance(each, bool) or not isinstance(each, str | int | float) for each in several):
        raise ValueError("is neither a text nor a number" + (", nor several of them" if action.nargs else ""))
    if action.nargs:
        return [flag, *map(str, several)]
    if isinstance(value, list):
        raise ValueError("are several: it takes one")
    text = str(folder / Path(value).expanduser()) if is_path(action) and isinstance(value, str) else str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]
