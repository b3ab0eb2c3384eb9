"""The request behind a comparison or a learning curve: options, data, weights and recipes.

It is kept before anything is trained, and compared before a stopped one is resumed.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.results.files import Saved, json_text, write_json
from headstart.results.runs import ONLY_FIT, REQUEST, SCHEMA, is_curve, read_beside, why_none
from headstart.runtime.text import shorten, shown

LONGEST = 60  # letters of a value that a message tells
# From the rest, or from what was measured, chosen or found and is not so again.
FOLLOWS = ("schema", "plan", "trials", "missing", "probed", "failed", "spent", "probes")
TYPED = ("command", "directory")  # how it was asked for: another way to ask for the same is no difference


def read_request(folder: Path) -> Saved | None:
    """A folder's request.json; None where it has none: nothing was asked for there, or by an older headstart."""
    return read_beside(folder, REQUEST)


def begin(folder: Path, kind: str, request: Mapping[str, Any], command: str | None = None) -> dict[str, Any]:
    """Keep a request in a folder, or find that the folder was made by the same one; returns what the folder keeps.

    command: what was typed, kept with the directory where it was, as seen from the folder: both may be moved together.
    Raises HeadstartError, which names what differs, where it was made by another.
    """
    before = read_request(folder)
    here = None if command is None else os.path.relpath(Path.cwd(), folder.resolve())
    content = {"schema": SCHEMA, "kind": kind, **request, "command": command, "directory": here}
    if before is None:
        write_json(folder / REQUEST, content)
        return json.loads(json_text(content))
    before["dataset"].setdefault("fit", ONLY_FIT)
    for key, old, new in _differences(before, json.loads(json_text(content))):
        raise HeadstartError(
            f"{folder} holds a {kind} with {key} {_short(old)}, not {_short(new)}: ask for the same to resume it, "
            "or name a new folder with --output"
        )
    return before


def typed_for(folder: Path) -> tuple[list[str], Path]:
    """The arguments of the command that a comparison or a learning curve was asked for by, and the directory in which
    it was typed; HeadstartError where the folder tells of none."""
    if is_curve(above := folder.resolve().parent):
        raise HeadstartError(f"{shown(folder)} is a size of a learning curve: resume that, {shown(above)}")
    if (asked := read_request(folder)) is None:
        raise HeadstartError(f"nothing was begun in {shown(folder)}, {why_none(folder)}: name a comparison's folder")
    if not asked.get("command"):
        raise HeadstartError(f"{shown(folder)} was asked for from Python: the same with output= goes on")
    directory = (folder.resolve() / asked["directory"]).resolve()
    if not directory.is_dir():
        raise HeadstartError(f"{directory}, where {shown(folder)} was asked for, is not there: {asked['command']}")
    return shlex.split(asked["command"])[1:], directory


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, value before, value now) of what is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            if key or name not in FOLLOWS + TYPED:
                yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield key.removeprefix("options.").removeprefix("strategies."), before, now


def _short(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), LONGEST)
