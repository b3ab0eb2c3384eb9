"""A run folder as bytes: what travels from the machine that trained to the one that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.files import write_bytes
from headstart.runtime.text import shown

OF_A_RUN = (
    runs.CONFIG,
    runs.ENVIRONMENT,
    runs.HISTORY,
    runs.METRICS,
    runs.MODEL,
    runs.NOVELTY,
    runs.PREDICTIONS,
)


def pack(folder: Path) -> dict[str, bytes]:
    """The files of a run folder: name -> content."""
    return {name: (folder / name).read_bytes() for name in OF_A_RUN}


def unpack(files: Mapping[str, bytes], place: Path) -> runs.Run:
    """Make the run folder `place` of what `pack` gave, whole or not at all.

    Raises HeadstartError for anything but the files of a run: whatever names came, nothing is written elsewhere.
    """
    if set(files) != set(OF_A_RUN) or not all(isinstance(content, bytes) for content in files.values()):
        odd = sorted(set(files) ^ set(OF_A_RUN)) or ["content that is no bytes"]
        raise HeadstartError(f"what came back for {shown(place)} is no run folder ({shown(odd[0])}): run it again")
    with runs.new_run(place) as folder:
        for name, content in files.items():
            write_bytes(folder / name, content)
    return runs.Run(place)
