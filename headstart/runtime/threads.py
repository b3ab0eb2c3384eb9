"""How the threads of torch wait for each other on a machine that has other work too. Nothing here imports torch."""

from __future__ import annotations

import os

BUSY = 0.5  # processes that ran in the last minute, on average
SPIN_COUNT = 2000  # turns of a loop, some microseconds


def yield_when_busy() -> None:
    """Let a thread that waits give its core up soon, where others want one; called before torch is imported.

    By default libgomp's threads wait in a loop for milliseconds. Alone that is quickest (by a half, of small
    convolutions); beside another process they hold the core that the slower thread needs, and training takes seven
    times as long: docs/decisions/threads.md. The results are the same bits.
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
