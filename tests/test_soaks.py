"""A short part of the soaks in fuzz/: kills, full disks, damaged files. The whole ones take an hour."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHORT = Path(__file__).parent.parent / "fuzz" / "short.py"


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and clocks of processes as Linux has them")
def test_nothing_is_lost_by_kills_full_disks_and_damage():
    done = subprocess.run([sys.executable, str(SHORT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| flip | 8 | 8 | 8 | 0 |" in done.stdout
    assert "| file event | 1 | 1 | 0 |" in done.stdout
