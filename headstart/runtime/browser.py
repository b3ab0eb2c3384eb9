"""A file shown in the browser, where there is one."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from headstart.runtime.console import say
from headstart.runtime.text import shown


def open_in_browser(file: Path) -> None:
    """Show a file; where that cannot be, say so: the file is there all the same."""
    try:
        opened = webbrowser.open(file.resolve().as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        say(f"no browser can be opened from here: open {shown(file)} in one")
