"""The request behind a comparison or a learning curve: options, data, weights and recipes.

It is kept before anything is trained, and compared before a stopped one is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headstart.errors import HeadstartError
from headstart.results.files import Saved, json_text, write_json
from headstart.results.runs import ONLY_FIT, REQUEST, SCHEMA, read_beside
from headstart.runtime.text import shorten

LONGEST = 60  # letters of a value that a message tells
FOLLOWS = ("schema", "plan", "trials")  # from the rest, or from a measurement that is not made again


def read_request(folder: Path) -> Saved | None:
    """A folder's request.json; None where it has none: nothing was asked for there, or by an older headstart."""
    return read_beside(folder, REQUEST)


def begin(folder: Path, kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a request in a folder, or find that the folder was made by the same one; returns what the folder keeps.

    Raises HeadstartError, which names what differs, where it was made by another.
    """
    before = read_request(folder)
    content = {"schema": SCHEMA, "kind": kind, **request}
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


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, value before, value now) of what is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*before, *now]):
            if key or name not in FOLLOWS:
                yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield key.removeprefix("options.").removeprefix("strategies."), before, now


def _short(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), LONGEST)
