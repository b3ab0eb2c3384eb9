"""That bench/scaling.py still measures the code there is: its phases with few images."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCALING = Path(__file__).parent.parent / "bench" / "scaling.py"


@pytest.mark.parametrize("phase", ["near-duplicates", "store", "cut and audit", "activations"])
def test_a_phase_says_its_seconds_and_memory(phase, tmp_path):
    environment = os.environ | {"HEADSTART_CACHE": str(tmp_path)}
    asked = [sys.executable, str(SCALING), "phase", phase, "300"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[\d.]+ s \([\d.]+\), [\d.]+ GiB", done.stdout.splitlines()[-1])
