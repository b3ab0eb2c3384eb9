import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headstart.runtime import download
from headstart.runtime.download import DownloadError, Judge, Patience, fetch, hub_command, last_words, npm_command

REPOSITORY = Path(__file__).parents[2]
IMPATIENT = Patience(window_seconds=0.6, limit_seconds=60)

SLEEP = "import time; time.sleep(60)"
STALL = f"""
import pathlib, subprocess, sys, os
folder = pathlib.Path(sys.argv[1])
grandchild = subprocess.Popen([sys.executable, "-c", "{SLEEP}"])
(folder / "pids").write_text(f"{{os.getpid()}} {{grandchild.pid}}")
{SLEEP}
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STALL}"
TRICKLE = """
import pathlib, sys, time
with (pathlib.Path(sys.argv[1]) / "data.part").open("wb") as file:
    while True:
        file.write(bytes(100)); file.flush(); time.sleep(0.05)
"""


def child(code: str, folder: Path) -> list[str]:
    return [sys.executable, "-c", code, str(folder)]


def assert_ended(folder: Path) -> None:
    """Both the child and what it had started, at once or as soon as the system has buried them."""
    for pid in map(int, (folder / "pids").read_text().split()):
        deadline = time.monotonic() + 2
        while runs(pid):
            assert time.monotonic() < deadline, f"process {pid} still runs"
            time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"  # a zombie has ended


def test_a_source_is_left_when_nothing_arrives_within_the_window():
    judge = Judge(1000, Patience(window_seconds=30, limit_seconds=600))
    arrivals = [(0, 0), (20, 400), (40, 400), (49, 400)]
    assert [judge.complaint(*arrival) for arrival in arrivals] == [None] * 4
    assert judge.complaint(50, 400) == "nothing arrived for 30 s, the time-out"


def test_a_source_is_left_when_the_rest_would_take_too_long():
    judge = Judge(170_000_000, Patience(window_seconds=30, limit_seconds=600))
    arrivals = [(second, second * 47_000) for second in range(30)]
    assert not any(judge.complaint(*arrival) for arrival in arrivals)
    assert judge.complaint(30, 30 * 47_000) == "at 47 kB/s it would take 60 min more; the limit is 10 min"


def test_a_slow_source_that_is_nearly_done_is_waited_for():
    judge = Judge(170_000_000, Patience(window_seconds=30, limit_seconds=600))
    assert not any(judge.complaint(second, 160_000_000 + second * 47_000) for second in range(100))


def test_a_source_of_unknown_size_is_left_for_a_stall_only():
    judge = Judge(None, Patience(window_seconds=30, limit_seconds=600))
    assert not any(judge.complaint(second, second) for second in range(1000))
    assert judge.complaint(1031, 999)


def test_fetch_returns_when_the_child_is_done(tmp_path: Path):
    fetch(child("import pathlib, sys; pathlib.Path(sys.argv[1], 'data').touch()", tmp_path), tmp_path, 1, "data")
    assert (tmp_path / "data").exists()


def test_the_bar_counts_what_appears_in_the_folder_and_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    advanced = []

    class Bar:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self):
            return advanced.append

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(download, "bar", Bar)
    (tmp_path / "old").write_bytes(bytes(10_000))
    code = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'new').write_bytes(bytes(500)); time.sleep(0.5)"
    fetch(child(code, tmp_path), tmp_path, 500, "data")
    assert sum(advanced) == 500


def test_a_stalling_source_is_left_at_the_time_out_with_all_that_it_started(tmp_path: Path):
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"nothing arrived for 0\.6 s, the time-out"):
        fetch(child(STALL, tmp_path), tmp_path, 1000, "data", IMPATIENT)
    assert time.monotonic() - start < 5
    assert_ended(tmp_path)


def test_a_source_that_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "GRACE_SECONDS", 0.2)
    with pytest.raises(DownloadError):
        fetch(child(STUBBORN, tmp_path), tmp_path, 1000, "data", IMPATIENT)
    assert_ended(tmp_path)


def test_a_slow_source_is_left(tmp_path: Path):
    with pytest.raises(DownloadError, match=r"at \d+ kB/s it would take \d+ min more; the limit is 1 min"):
        fetch(child(TRICKLE, tmp_path), tmp_path, 1_000_000, "data", IMPATIENT)


def test_an_interrupt_ends_the_child(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from headstart.runtime.download import fetch\n"
        f"fetch([sys.executable, '-c', {STALL!r}, {str(tmp_path)!r}], Path({str(tmp_path)!r}), None, 'data')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ((pids := tmp_path / "pids").exists() and pids.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.send_signal(signal.SIGINT)
    parent.wait(60)  # a bound on hanging, not on speed: the machine may be busy
    assert_ended(tmp_path)


def test_a_failing_source_is_quoted(tmp_path: Path):
    with pytest.raises(DownloadError, match=r"^the disk is full$"):
        fetch(child("print('hello'); import sys; sys.exit('noise\\nthe disk is full')", tmp_path), tmp_path, 1, "data")


def test_a_source_that_fails_without_a_word_is_given_its_exit_code(tmp_path: Path):
    with pytest.raises(DownloadError, match="exit code 3"):
        fetch(child("raise SystemExit(3)", tmp_path), tmp_path, 1, "data")


def test_a_program_that_is_not_there_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DownloadError, match=r"^npm is not installed$"):
        fetch(npm_command("left-pad@1.0.0", tmp_path), tmp_path, 1, "data")


def test_the_reason_is_found_among_what_npm_says_around_it():
    stderr = (
        "npm warn Unknown user config\nnpm error code ECONNREFUSED\nnpm error syscall connect\n"
        "npm error FetchError: request to somewhere failed, reason: connect ECONNREFUSED\n"
        "npm error     at ClientRequest\nnpm error\n"
        "npm error If you are behind a proxy, please make sure that it is set properly.\n"
    )
    assert last_words(stderr) == "FetchError: request to somewhere failed, reason: connect ECONNREFUSED"


def test_the_reason_is_found_after_a_progress_bar_and_a_traceback():
    assert last_words("10%\r20%\rTraceback\n  File\nOSError: no route to host\n\n") == "OSError: no route to host"


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as one file of one repository takes."""

    content = b"label,image" * 1000

    def do_HEAD(self) -> None:
        found = self.path == "/datasets/someone/something/resolve/main/folder/data.bin"
        self.send_response(200 if found else 404)
        for name, value in (("ETag", '"abc"'), ("X-Repo-Commit", "0" * 40), ("Content-Length", str(len(self.content)))):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield address
        server.shutdown()
        thread.join()


def test_the_hub_s_own_downloader_brings_a_file_into_the_folder(hub: str, tmp_path: Path):
    command = hub_command("someone/something", ["folder/data.bin"], repo_type="dataset", local_dir=tmp_path)
    fetch(command, tmp_path, len(Hub.content), "data")
    assert (tmp_path / "folder" / "data.bin").read_bytes() == Hub.content


def test_a_file_that_the_hub_has_not_is_said_in_one_line(hub: str, tmp_path: Path):
    with pytest.raises(DownloadError, match=r"\A.*404.*\Z"):
        fetch(hub_command("someone/something", ["other.bin"], local_dir=tmp_path), tmp_path, 1, "data")


def test_a_hub_that_refuses_is_left_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    start = time.monotonic()
    with pytest.raises(DownloadError, match="refused"):
        fetch(hub_command("someone/something", ["data.bin"], local_dir=tmp_path), tmp_path, 1, "data")
    assert time.monotonic() - start < 8
