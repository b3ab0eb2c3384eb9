"""What a page shows that can be typed: commands, and blocks of Python."""

from __future__ import annotations

import re
import textwrap

FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?: {4}(?:\$ )?|\$ )((?:headstart|make|uvx)\b.*)$|`((?:headstart|make|uvx) [^`]+)`", re.MULTILINE)


def steps(page: str, quoted: bool = True) -> list[tuple[str, str]]:
    """("python" or "shell", text) of every block of Python and every command, in their order; quoted: those within
    sentences too."""
    found: list[tuple[str, str]] = []
    parts = FENCED.split(page)  # text, language, block, text, ...
    for text, language, block in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        found += [("shell", line or inline) for line, inline in LINE.findall(text) if line or quoted]
        if language == "python":
            found.append(("python", block))
        else:
            found += [("shell", line) for line, _ in LINE.findall(textwrap.indent(block, " " * 4)) if line]
    return found
