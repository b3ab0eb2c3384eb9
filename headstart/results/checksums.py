"""The checksums of a finished folder: the SHA-256 of every file in it, in a form that `sha256sum -c` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.results.files import sha256, write_text
from headstart.results.runs import CHECKSUMS, LOCK, find_runs, is_curve, is_finished
from headstart.runtime.text import shown


def write_checksums(folder: Path, vouched: Mapping[str, str] | None = None) -> None:
    """Keep the SHA-256 of every file in a folder, in the form of `sha256sum` and for `sha256sum -c`.

    It is the last that is written: a folder that has it is finished. vouched: those that stay as they are, so that what
    happened to these files since stays found.
    """
    kept = dict(vouched or {})
    _write_checksums(folder, kept | {name: sha256(folder / name) for name in files_of(folder) if name not in kept})


def checksums_of_runs(folder: Path) -> dict[str, str]:
    """Those of a finished folder's runs that are still there, which nothing writes again; none of one that is not
    finished. Raises HeadstartError where they are damaged."""
    if not is_finished(folder):
        return {}
    places = tuple(f"{run.folder.relative_to(folder).as_posix()}/" for run in find_runs(folder))
    return {name: digest for name, digest in read_checksums(folder).items() if name.startswith(places)}


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


def read_checksums(folder: Path) -> dict[str, str]:
    """Name of a file, from `folder` on -> its SHA-256; HeadstartError where they are missing or not as written."""
    path = folder / CHECKSUMS
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
    return sorted(name for name in files if name not in (CHECKSUMS, LOCK))


def _write_checksums(folder: Path, checksums: Mapping[str, str]) -> None:
    write_text(folder / CHECKSUMS, _checksum_lines(checksums))


def _checksum_lines(checksums: Mapping[str, str]) -> str:
    return "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
