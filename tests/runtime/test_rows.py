"""Rows in the cache: each computed once, whoever wants it, whenever a process is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.runtime import rows
from headstart.runtime.rows import MISSING, ROWS, RowTable

KEYS = [str(number) for number in range(40)]
WRONG = -1

pytestmark = pytest.mark.usefixtures("cache")


def table(collection: str = "photos", shape: tuple[int, ...] = (3,), **made_by: Any) -> RowTable:
    return RowTable("images", collection, {"version": 1} | made_by, shape, np.int64)


def fill(into: RowTable, keys: Sequence[str], log: Path | None = None, seconds: float = 0.0) -> list[str]:
    """Compute the rows of keys, one by one, and write down which; the row of a key is its number, three times."""
    with into.filling(keys) as filling:
        asked = [keys[position] for position in filling.wanted]
        for place, key in enumerate(asked):
            if log is not None:
                with log.open("a") as file:
                    file.write(f"{key}\n")
            time.sleep(seconds)
            filling.values[filling.rows[place]] = int(key)
            filling.keep([place])
    return asked


def are_right(of: RowTable, keys: Sequence[str]) -> bool:
    found = of.find(keys)
    return bool((found != MISSING).all() and (of.values()[found] == np.array(keys, dtype=int)[:, None]).all())


def process(code: str) -> subprocess.Popen[str]:
    """Another process that runs code in this module, once it is told to by a line."""
    code = f"import test_rows\nfrom test_rows import *\ninput()\n{code}"
    pipe, place = subprocess.PIPE, Path(__file__).parent
    return subprocess.Popen([sys.executable, "-c", code], cwd=place, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def tell(waiting: subprocess.Popen[str]) -> None:
    waiting.stdin.write("go\n")
    waiting.stdin.flush()


def test_rows_are_found_again_by_their_keys():
    fill(table(), KEYS[:9])
    assert are_right(table(), [KEYS[5], KEYS[2], KEYS[5]])
    assert are_right(table(), np.array(KEYS[:9]))
    assert table().find(["none", KEYS[0]]).tolist()[0] == MISSING
    assert table().known(["none", KEYS[0]]).tolist() == [False, True]
    assert table().find([]).shape == table().known([]).shape == (0,)


def test_only_what_is_missing_is_computed_each_key_once():
    assert fill(table(), KEYS[2:5]) == KEYS[2:5]
    assert fill(table(), [*KEYS[:6], *KEYS[:8]]) == [KEYS[0], KEYS[1], *KEYS[5:8]]
    assert fill(table(), KEYS[:8]) == []
    assert are_right(table(), KEYS[:8])
    assert len(table().values()) == 8


@pytest.mark.parametrize("other", [{"version": 2}, {"pillow": "13"}, {"shape": (4,)}])
def test_rows_that_were_made_otherwise_are_others(other):
    fill(table(), KEYS[:3])
    assert not table(**other).known(KEYS[:3]).any()
    assert table(**other).folder != table().folder


def test_what_is_known_of_a_row_is_kept_with_it():
    with table().filling(KEYS[:3]) as filling:
        filling.keep([2, 0], [{"width": 20}, {"width": 0}], seconds=[2.0, 0.5])
        filling.keep([1], [{"error": "damaged"}])
    assert list(table().about([*KEYS[:3], "none"])) == [{"width": 0}, {"error": "damaged"}, {"width": 20}, {}]
    assert table().seconds([KEYS[2], KEYS[0], "none"]) == 2.5
    assert table().seconds([KEYS[1]]) > 0


def test_what_could_not_be_computed_is_known_to_have_no_row_and_not_tried_again():
    with table().filling(KEYS[:2]) as filling:
        filling.keep([0, 1], [{"error": "damaged"}, {}])
    assert table().known(KEYS[:2]).all()
    assert (table().find(KEYS[:2]) != MISSING).tolist() == [False, True]
    assert fill(table(), KEYS[:2]) == []


def test_writing_to_rows_that_were_opened_changes_none_on_disk():
    fill(table(), KEYS[:3])
    table().values()[:] = WRONG
    assert are_right(table(), KEYS[:3])


def test_rows_that_memory_could_not_hold_are_opened():
    fill(table(), KEYS[:3])
    os.truncate(table().folder / ROWS, 4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))  # sparse
    assert are_right(table(), KEYS[:3])


def test_what_was_computed_before_a_failure_counts():
    with pytest.raises(KeyboardInterrupt), table().filling(KEYS[:5]) as filling:
        filling.values[filling.rows[:2]] = [[0], [1]]
        filling.keep([0, 1])
        filling.values[filling.rows[2]] = WRONG
        raise KeyboardInterrupt
    assert fill(table(), KEYS[:5]) == KEYS[2:5]
    assert are_right(table(), KEYS[:5])


@pytest.mark.parametrize("keep", ["", "filling.keep(range(3))"], ids=["written", "written and kept"])
def test_what_a_killed_process_had_not_committed_is_written_over_and_what_it_had_stays(keep):
    killed = process(f"""
test_rows.rows.COMMIT_SECONDS = 3600
fill(table(), KEYS[:3])
with table().filling(KEYS[3:6]) as filling:
    filling.values[filling.rows] = WRONG
    {keep}
    os.kill(os.getpid(), signal.SIGKILL)
""")
    killed.communicate("go\n")
    assert killed.returncode == -signal.SIGKILL
    assert len(table().values()) == 6
    assert table().known(KEYS[:6]).tolist() == [True] * 3 + [False] * 3
    assert (table().find(KEYS[3:6]) == MISSING).all()
    assert fill(table(), KEYS[:8]) == KEYS[3:8]
    assert are_right(table(), KEYS[:8])
    assert len(table().values()) == 8


def test_rows_count_as_soon_as_they_are_committed(monkeypatch):
    monkeypatch.setattr(rows, "COMMIT_SECONDS", 0)
    with table().filling(KEYS[:2]) as filling:
        filling.keep([0])
        assert table().known(KEYS[:2]).tolist() == [True, False]


def test_two_processes_that_want_the_same_rows_compute_each_once(tmp_path):
    log = tmp_path / "computed"
    codes = (
        f"fill(table(), KEYS[{some}], Path({str(log)!r}), 0.02); print(are_right(table(), KEYS[{some}]))"
        for some in ("0:25", "15:40")
    )
    both = [process(code) for code in codes]
    for each in both:
        tell(each)
    for each in both:
        said, errors = each.communicate()
        assert said == "True\n", errors
    assert sorted(log.read_text().split(), key=int) == KEYS
    assert are_right(table(), KEYS)


def test_whoever_waited_for_a_process_that_was_killed_computes_the_rest():
    first = process("""
test_rows.rows.COMMIT_SECONDS = 0
with table().filling(KEYS) as filling:
    for place in range(5):
        filling.values[filling.rows[place]] = place
        filling.keep([place])
    print("five are there", flush=True)
    time.sleep(3600)
""")
    tell(first)
    assert first.stdout.readline() == "five are there\n"
    second = process("print(fill(table(), KEYS) == KEYS[5:])")
    tell(second)
    assert second.stderr.readline() == "another headstart is computing the same here: waiting for it\n"
    first.kill()
    first.communicate()
    assert second.communicate()[0] == "True\n"
    assert are_right(table(), KEYS)


def test_rows_of_the_same_maker_in_another_collection_are_copied_not_computed():
    with table("photos").filling(KEYS[:3]) as filling:
        filling.values[filling.rows] = [[0], [1], [2]]
        filling.keep(range(3), [{"width": 20}, {}, {"error": "damaged"}], seconds=[1.0, 2.0, 4.0])
    assert fill(table("holiday"), [*KEYS[1:5], KEYS[1]]) == KEYS[3:5]
    assert are_right(table("holiday"), [KEYS[1], *KEYS[3:5]])
    assert table("holiday").seconds(KEYS[1:3]) == 6.0
    assert list(table("holiday").about(KEYS[:3])) == [{}, {}, {"error": "damaged"}]
    assert table("photos").known(KEYS[:5]).tolist() == [True] * 3 + [False] * 2
    assert fill(table("other", version=2), KEYS[:3]) == KEYS[:3]


@pytest.mark.parametrize("left", [0, 2, 2.5])
def test_rows_that_a_file_lost_are_not_trusted_even_after_it_has_grown_again(left):
    fill(table(), KEYS[:5])
    os.truncate(table().folder / ROWS, int(left * table().row_bytes))
    kept = int(left)
    assert table().known(KEYS[:5]).tolist() == [True] * kept + [False] * (5 - kept)
    assert (table().find(KEYS[kept:5]) == MISSING).all()
    assert fill(table(), KEYS[5:9]) == KEYS[5:9]
    assert not table().known(KEYS[kept:5]).any()
    assert fill(table(), KEYS[:9]) == KEYS[kept:5]
    assert are_right(table(), KEYS[:9])


@pytest.mark.parametrize("left", [0, 2, 2.5])
def test_rows_that_a_file_lost_are_not_copied_to_another_collection(left):
    fill(table("photos"), KEYS[:5])
    os.truncate(table("photos").folder / ROWS, int(left * table().row_bytes))
    assert fill(table("holiday"), KEYS[:5]) == KEYS[int(left) : 5]
    assert are_right(table("holiday"), KEYS[:5])


def test_an_index_without_rows_or_rows_without_an_index_are_begun_again():
    fill(table(), KEYS[:3])
    (table().folder / ROWS).unlink()
    assert fill(table(), KEYS[:3]) == KEYS[:3]
    (table().folder / rows.INDEX).unlink()
    assert fill(table(), KEYS[:3]) == KEYS[:3]
    assert are_right(table(), KEYS[:3])
