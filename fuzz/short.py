"""A short part of each soak, in half a minute: what the test suite runs.

    .venv/bin/python fuzz/short.py

The whole ones are kills.py, full_disk.py and corruptions.py, whose first lines say how they are run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import corruptions
import full_disk
import kills
import tiny

MINUTES = 20  # of each at most, on however busy a machine


def main() -> None:
    """Print a table of each; the exit code says whether anything was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        found = {
            corruptions: [*corruptions.soak(tiny.warm(place), 40, MINUTES)],
            kills: [*kills.soak(place, 3, 1, MINUTES)],
            full_disk: [*full_disk.soak(place, 1, MINUTES)] if full_disk.is_possible(place) else [],
        }
    for script, outcomes in found.items():
        print(script.table(outcomes))
    wrong = [outcome for outcomes in found.values() for outcome in outcomes if outcome.is_wrong]
    raise SystemExit("\n".join(map(str, wrong)) or 0)


if __name__ == "__main__":
    main()
