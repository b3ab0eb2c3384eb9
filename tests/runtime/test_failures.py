"""Whatever a library raises is one line, an exit code and a log; wherever output goes, there is no traceback."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError
from safetensors import SafetensorError
from safetensors.torch import save_file

from headstart.cli import main
from headstart.errors import HeadstartError, MachineError
from headstart.runtime.failures import known, machine_errors

FULL = Path("/dev/full")


def raised(by) -> Exception:
    """What a library really raises."""
    try:
        by()
    except Exception as error:
        return error
    pytest.fail("nothing was raised")


def wrapped(inner: Exception) -> Exception:
    """An exception that a library raised because of another one."""
    try:
        try:
            raise inner
        except Exception as error:
            raise ValueError("could not be saved") from error
    except ValueError as error:
        return error


def of_sqlite(folder: Path) -> Exception:
    (folder / "index.sqlite").write_bytes(b"no database" * 1000)
    return raised(lambda: sqlite3.connect(folder / "index.sqlite").execute("CREATE TABLE t (a)"))


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
KINDS = {  # what is raised: what is said of it
    "disk full": (NO_SPACE, "the disk is full (somewhere): make room"),
    "disk full, said by safetensors": (
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        "the disk is full: make room",
    ),
    "disk full, said by sqlite": (sqlite3.OperationalError("database or disk is full"), "the disk is full: make room"),
    "disk full, said within": (wrapped(NO_SPACE), "the disk is full (somewhere)"),
    "quota": (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "home"), "the disk is full (home)"),
    "a limit of sizes": (
        OSError(errno.EFBIG, os.strerror(errno.EFBIG), "big"),
        "larger than may be written here",
    ),
    "read-only": (OSError(errno.EROFS, os.strerror(errno.EROFS), "cd"), "cannot be written (cd)"),
    "no right": (PermissionError(errno.EACCES, "Permission denied", "theirs"), "no right to read or write (theirs)"),
    "memory of the GPU": (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "out of memory: take a smaller"),
    "memory": (MemoryError(), "out of memory: take a smaller --image-size"),
    "memory, said by torch": (
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] data. DefaultCPUAllocator: can't allocate memory"),
        "out of memory",
    ),
    "a worker that was killed": (TerminatedWorkerError("A worker process was terminated"), "memory ran out"),
    "a pool that broke": (BrokenProcessPool("A task has failed to un-serialize."), "memory ran out"),
    "threads": (RuntimeError("can't start new thread"), "no further process or thread may be started"),
    "files": (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x"), "too many files are open"),
    "a package": (ModuleNotFoundError("No module named 'cv2'"), "missing or broken (No module named 'cv2')"),
    "a GPU": (RuntimeError("CUDA error: an illegal memory access was encountered"), "--device cpu does without it"),
    "another error of the system": (OSError(errno.EIO, os.strerror(errno.EIO), "disk"), "Input/output error: disk"),
    "a mistake of ours": (
        IndexError("list index out of range\nsecond"),
        "a mistake of headstart's own, IndexError",
    ),
    "recursion": (RecursionError("maximum recursion depth exceeded"), "a mistake of headstart's own, RecursionError"),
}


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`headstart show` raises this."""

    def fail(*args, **options):
        raise error

    monkeypatch.setattr("headstart.data.load.load", fail)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_library_raises_is_one_line_with_a_log_of_the_rest(kind, monkeypatch, capsys):
    error, said = KINDS[kind]
    failing(monkeypatch, error)
    with pytest.raises(SystemExit) as ended:
        main(["show"])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("headstart: ")
    assert said in line
    assert captured.out == ""
    log = Path(re.search(r"log: (.*)$", line)[1]).read_text()
    assert "Traceback (most recent call last)" in log
    assert type(error).__name__ in log


def test_what_the_libraries_here_raise_is_known(tmp_path):
    assert "cache clear" in known(of_sqlite(tmp_path))
    big = torch.zeros(2**18)
    if FULL.exists():
        assert "the disk is full" in known(raised(lambda: FULL.write_bytes(bytes(2**20))))
    assert "no right" in known(PermissionError(13, "Permission denied"))
    assert known(raised(lambda: save_file({"a": big}, tmp_path / "no" / "such" / "folder"))) is None
    assert "memory" in known(raised(lambda: torch.empty(2**50)))


@pytest.mark.parametrize("closed", [False, True])
def test_without_a_place_for_a_log_the_line_says_where_it_was_raised(closed, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file") if closed else str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("division by zero"))
    with pytest.raises(SystemExit):
        main(["show"])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{'raised in' if closed else f'log: {tmp_path}'}" in line


def test_ctrl_c_is_no_error(monkeypatch, capsys):
    failing(monkeypatch, KeyboardInterrupt())
    with pytest.raises(SystemExit) as ended:
        main(["show"])
    assert (ended.value.code, capsys.readouterr().err) == (130, "headstart: interrupted; nothing was begun\n")


def test_from_python_a_full_disk_is_a_headstart_error_and_a_mistake_of_ours_is_itself():
    @machine_errors()
    def work(error: Exception) -> None:
        error.add_note("2 finished runs are kept")
        raise error

    with pytest.raises(MachineError, match="the disk is full") as full:
        work(OSError(errno.ENOSPC, "No space left on device", "x"))
    assert full.value.__notes__ == ["2 finished runs are kept"]
    assert isinstance(full.value.__cause__, OSError)
    for error in (IndexError("ours"), HeadstartError("theirs"), BrokenPipeError(errno.EPIPE, "Broken pipe")):
        with pytest.raises(type(error), match=re.escape(str(error))):
            work(error)


SPEAKING = """
from headstart.cli import main
import headstart.data.audit as audit
class Found:
    faults, summary = (), ()
    def lines(self, **options):
        return ["caf\\u00e9/\\u9e7f.jpg 81\\u00a0% \\u00b1 2 \\udcff"] * 5000
audit.check = lambda data, **options: Found()
main(["check", "photos"])
"""


def speaking(**how) -> subprocess.CompletedProcess[str]:
    """A process whose standard output has names of all kinds."""
    return subprocess.run([sys.executable, "-c", SPEAKING], stderr=subprocess.PIPE, check=False, **how)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PYTHONIOENCODING": "ascii"}, rb"caf\xe9/\u9e7f.jpg 81 % +- 2 \udcff"),
        ({"PYTHONIOENCODING": "latin-1"}, "café/\\u9e7f.jpg 81\N{NO-BREAK SPACE}% ± 2 \\udcff".encode("latin-1")),
        ({"PYTHONIOENCODING": "utf-8"}, "café/鹿.jpg 81\N{NO-BREAK SPACE}% ± 2 \\udcff".encode()),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, rb"caf\xe9/\u9e7f.jpg 81 % +- 2 \udcff"),
    ],
    ids=["ascii", "latin-1", "utf-8", "C"],
)
def test_a_name_that_the_encoding_lacks_is_written_otherwise_and_not_lost(variables, said):
    done = speaking(stdout=subprocess.PIPE, env=os.environ | variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[0] == said


def test_a_reader_that_goes_away_ends_it_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    done = speaking(stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_standard_output_on_a_full_disk_is_one_line():
    with FULL.open("w") as full:
        done = speaking(stdout=full, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("headstart: the disk is full")


def test_closed_streams_are_no_reason_for_a_traceback():
    command = f"exec {sys.executable} -c '{SPEAKING}' >&- 2>&-"
    assert subprocess.run(["bash", "-c", command], check=False, capture_output=True).stderr == b""
