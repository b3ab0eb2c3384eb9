"""The checksums of a finished folder: the SHA-256 of every file in it, in a form that `sha256sum -c` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.results.files import sha256, write_text
from headstart.results.runs import CHECKSUMS, LOCK, find_runs, is_curve, is_finished
from headstart.runtime.text import shown

ASIDE = ".SHA256SUMS"  # of a folder that was finished, and is changed


def write_checksums(folder: Path) -> None:
    """Keep the SHA-256 of every file in a folder, in the form of `sha256sum` and for `sha256sum -c`.

    It is the last that is written: a folder that has it is finished. Those of runs that were `put_aside` stay as they
    were, so that what happened to these files since stays found.
    """
    kept = _aside(folder)
    _write_checksums(folder, kept | {name: sha256(folder / name) for name in files_of(folder) if name not in kept})
    (folder / ASIDE).unlink(missing_ok=True)


def put_aside(folder: Path) -> None:
    """A folder is not finished any more; what its checksums say of its runs, which nothing writes again, is kept until
    it is. Raises HeadstartError where they are damaged."""
    if is_finished(folder):
        read_checksums(folder)
        (folder / CHECKSUMS).replace(folder / ASIDE)


def _aside(folder: Path) -> dict[str, str]:
    """What was put aside of the runs that are still there."""
    if not (folder / ASIDE).exists():
        return {}
    places = tuple(f"{run.folder.relative_to(folder).as_posix()}/" for run in find_runs(folder))
    return {name: digest for name, digest in read_checksums(folder, ASIDE).items() if name.startswith(places)}


def renew_checksums(folder: Path, *written: str) -> None:
    """Keep the checksums of what was written anew in a finished folder: files, or folders with all that is in them.

    No other line changes, so that what happened to other files stays found. A folder without checksums stays so.
    Raises HeadstartError where they are damaged.
    """
    if not is_finished(folder):
        return

    def renewed(name: str) -> bool:
        return any(name == each or name.startswith(f"{each}/") for each in written)

    kept = {name: digest for name, digest in read_checksums(folder).items() if not renewed(name)}
    _write_checksums(folder, kept | {name: sha256(folder / name) for name in files_of(folder) if renewed(name)})


def read_checksums(folder: Path, file: str = CHECKSUMS) -> dict[str, str]:
    """Name of a file, from `folder` on -> its SHA-256; HeadstartError where they are missing or not as written."""
    path = folder / file
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise HeadstartError(
            f"{shown(path)} is missing: what lies here was not finished, is older than checksums, or was taken out of "
            "its folder, and no file can be vouched for"
        ) from None
    except OSError as error:
        raise HeadstartError(f"{shown(path)} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        text = ""
    checksums = {line[66:]: line[:64] for line in text.split("\n")[:-1]}
    if not text or text != _checksum_lines(checksums):
        raise HeadstartError(f"{path} is damaged: it is not as it was written")
    return checksums


def files_of(folder: Path) -> list[str]:
    """The files that a folder's checksums are about, from it on: all below it, but for the checksums themselves.

    In a learning curve's folder they are those of the curve alone: each size has its own.
    """
    found = folder.glob("*") if is_curve(folder) else folder.rglob("*")
    files = (path.relative_to(folder).as_posix() for path in found if path.is_file())
    return sorted(name for name in files if name not in (CHECKSUMS, ASIDE, LOCK))


def _write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    write_text(folder / CHECKSUMS, _checksum_lines(checksums))


def _checksum_lines(checksums: Mapping[str, str]) -> str:
    return "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
