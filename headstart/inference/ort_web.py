"""onnxruntime-web, which runs a network in a browser: fetched once through npm, checked, and kept.

It is no package of pip, and its 14 MB are not headstart's to carry: docs/decisions/web.md
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import HeadstartError
from headstart.results.files import write_bytes
from headstart.runtime.cache import BROWSER, cache_dir, temporary_folder
from headstart.runtime.console import say
from headstart.runtime.download import PATIENCE, Patience, fetch, npm_command


@dataclass(frozen=True)
class Part:
    """A file of the package, and the SHA-256 of its content."""

    name: str
    sha256: str


PACKAGE = "onnxruntime-web@1.30.0"
SCRIPT = Part("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90")
WASM = Part("ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2")
DOWNLOAD_BYTES = 2 * 33_106_585  # the tarball, in npm's cache and as a file


def runtime(offline: bool = False, *, package: str = PACKAGE, patience: Patience = PATIENCE) -> dict[Part, bytes]:
    """SCRIPT and WASM: from the cache, from a tarball of npm's that lies there, or through npm, which is said.

    Raises HeadstartError, with what to do, where none of them has these very files.
    """
    tarball = cache_dir() / BROWSER / f"{package.replace('@', '-')}.tgz"
    kept = {part: _kept(part) for part in (SCRIPT, WASM)}
    if not all(kept.values()):
        if tarball.is_file():
            kept = _unpacked(tarball)
        elif offline:
            raise HeadstartError(f"the page needs {package}, and --offline was given: {_advice(package, tarball)}")
        else:
            kept = _fetched(package, tarball, patience)
        for part, content in kept.items():
            write_bytes(cache_dir() / BROWSER / part.name, content)
    return kept


def _kept(part: Part) -> bytes:
    """A part as the cache has it; empty where it has not, or has another content."""
    path = cache_dir() / BROWSER / part.name
    content = path.read_bytes() if path.is_file() else b""
    return content if hashlib.sha256(content).hexdigest() == part.sha256 else b""


def _fetched(package: str, tarball: Path, patience: Patience) -> dict[Part, bytes]:
    say(f"the page needs {package}: fetched through npm, once")
    with temporary_folder(beside=tarball) as folder:
        try:
            fetch(npm_command(package, folder), folder, DOWNLOAD_BYTES, package, patience)
        except HeadstartError as error:
            raise HeadstartError(f"the page needs {package}: {error}; {_advice(package, tarball)}") from None
        return _unpacked(folder / tarball.name)


def _unpacked(tarball: Path) -> dict[Part, bytes]:
    try:
        with tarfile.open(tarball) as archive:
            found = {part: _content(archive, part) for part in (SCRIPT, WASM)}
    except (OSError, tarfile.TarError) as error:
        raise HeadstartError(f"{tarball} is damaged ({error}): remove it, and it is fetched again") from None
    for part, content in found.items():
        if (digest := hashlib.sha256(content).hexdigest()) != part.sha256:
            raise HeadstartError(f"{part.name} in {tarball} has SHA-256 {digest}; expected {part.sha256}: remove it")
    return found


def _content(archive: tarfile.TarFile, part: Part) -> bytes:
    try:
        file = archive.extractfile(f"package/dist/{part.name}")
    except KeyError:
        file = None
    return b"" if file is None else file.read()


def _advice(package: str, tarball: Path) -> str:
    return f"where npm works, `npm pack {package}`, and put the file into {tarball.parent}"
