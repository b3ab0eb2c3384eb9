"""Each strategy, fit and export beside what was measured: a table of parity, size, latency, and what 8 bits lose.

    python bench/export.py RUN... [--data DATA] [--to FORMAT...]

RUN: comparisons, all of whose runs are taken, or single runs. Every file is made in a temporary folder by
`headstart export`, which checks it on all test images; a refusal is a row too. 8 bits are let lose anything, so that
the table shows how much.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headstart.errors import HeadstartError
from headstart.inference.export import beside, export
from headstart.inference.formats import FORMATS
from headstart.options import EXPORTED, ONNX
from headstart.results import runs

INT8 = f"{ONNX} --int8"
COLUMNS = (
    *("data", "candidate", "fit", "export", "images", "classes that differ"),
    *("largest difference", "of other shapes", "MB", "ms", "points lost (95 %)"),
)


def row_of(run: runs.Run, to: str, data: str | None) -> list[str]:
    """One row of the table."""
    about = [run.config["dataset"]["name"], run.candidate, run.config.get("fit", runs.ONLY_FIT), to]
    with TemporaryDirectory() as folder:
        kind, int8 = (ONNX, True) if to == INT8 else (to, False)
        file = Path(folder) / f"export{FORMATS[kind].suffix}"
        try:
            export(run.folder, kind, file, data, int8=int8, max_loss=100)
        except HeadstartError as error:
            return [*about, *[""] * 6, f"refused: {error}"]
        found = json.loads(beside(file).read_text(encoding="utf-8"))
    return about + measured(found)


def measured(found: dict[str, Any]) -> list[str]:
    """What the JSON beside an export says, as the columns from `images` on have it."""
    parity, loss = found["parity"], found.get("int8")
    differ = round((1 - loss["agreement"]) * loss["images"]) if loss else parity["differ"]
    largest = (loss or parity)["largest_difference"]
    lost = f"{100 * loss['lost']:.2f} ({100 * loss['low']:.2f} to {100 * loss['high']:.2f})" if loss else ""
    return [
        f"{parity['images']:,}",
        f"{differ:,}",
        f"{largest:.1e}",
        "" if loss else f"{parity['of_shapes']:.1e}",
        f"{found['bytes'] / 1e6:.1f}",
        f"{(loss or parity)['latency_ms']:.1f}",
        lost,
    ]


def main() -> None:
    """Print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", help="where the images are (default: where they were)")
    parser.add_argument("--to", nargs="+", choices=[*EXPORTED, INT8], default=[ONNX, INT8, *EXPORTED[1:]])
    asked = parser.parse_args()
    print(*COLUMNS, sep=" | ")
    print("|".join(["---"] * len(COLUMNS)))
    for folder in asked.runs:
        for run in runs.find_runs(folder) or [runs.Run(folder)]:
            for to in asked.to:
                print(*row_of(run, to, asked.data), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
