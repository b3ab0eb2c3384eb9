"""A CIFAR-10 of 120 images, written in each of the layouts in which the real one is published; a folder of pictures."""

import io
import json
import struct
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pictures import plant
from PIL import Image
from pyarrow import parquet

from headstart.data.cifar10.layouts import BATCHES
from headstart.data.cifar10.sources import Content

Write = Callable[[np.ndarray, Path], None]


def write_binary(records: np.ndarray, folder: Path) -> None:
    for name, batch in zip(BATCHES, np.split(records, 6), strict=True):
        (folder / f"{name}.bin").write_bytes(batch.tobytes())


def write_python(records: np.ndarray, folder: Path) -> None:
    for name, batch in zip(BATCHES, np.split(records, 6), strict=True):
        (folder / name).write_bytes(python2_pickle(batch))


def python2_pickle(batch: np.ndarray) -> bytes:
    """The dictionary of labels and pixels as Python 2 and its numpy wrote it: no Python 3 writes these opcodes."""
    rows, pixels = len(batch), batch[:, 1:].tobytes()
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return b"".join(
        [
            b"\x80\x02}(U\x04data",
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01" + struct.pack("<cici", b"J", rows, b"J", 3072) + b"\x86" + dtype + b"\x89",
            struct.pack("<ci", b"T", len(pixels)) + pixels + b"tb",
            b"U\x06labels](" + b"".join(b"K" + bytes([label]) for label in batch[:, 0]) + b"eu.",
        ]
    )


def write_parquet(records: np.ndarray, folder: Path) -> None:
    """As the hub has it: in its folder, and the batches in the order of the official archive."""
    (folder / "plain_text").mkdir()
    batches = np.split(records, 6)
    hub_train = np.concatenate([batches[number - 1] for number in (4, 3, 2, 5, 1)])
    for split, rows in (("train", hub_train), ("test", batches[-1])):
        images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        table = {"img": [{"bytes": png(image), "path": None} for image in images], "label": rows[:, 0].astype(np.int64)}
        parquet.write_table(pyarrow.table(table), folder / "plain_text" / f"{split}-00000-of-00001.parquet")


def write_strips(records: np.ndarray, folder: Path) -> None:
    for name, batch in zip(BATCHES, np.split(records, 6), strict=True):
        rows = batch[:, 1:].reshape(-1, 3, 1024).transpose(0, 2, 1)
        (folder / f"{name}.png").write_bytes(png(rows))
    labels = records[:, 0].tolist()
    (folder / "train_lables.json").write_text(json.dumps(labels[:100]))
    (folder / "test_lables.json").write_text(json.dumps(labels[100:]))


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return file.getvalue()


def pack(folder: Path, archive: Path, inside: str) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"{inside}/{path.name}")
    return archive


LAYOUTS: dict[str, Write] = {
    "binary": write_binary,
    "python": write_python,
    "parquet": write_parquet,
    "npm": write_strips,
}


@pytest.fixture(scope="session")
def records() -> np.ndarray:
    """(120, 3073): six batches of 20, each class twice in each."""
    rng = np.random.default_rng(0)
    records = rng.integers(0, 256, (120, 3073), np.uint8)
    records[:, 0] = np.concatenate([rng.permutation(np.arange(20) % 10) for _ in range(6)])
    return records


@pytest.fixture(scope="session")
def content(records: np.ndarray) -> Content:
    batches = tuple(sha256(batch.tobytes()).hexdigest() for batch in np.split(records, 6))
    return Content(sha256(records.tobytes()).hexdigest(), batches)


@pytest.fixture(params=LAYOUTS)
def published(request: pytest.FixtureRequest, records: np.ndarray, tmp_path: Path) -> Path:
    """A folder with the data in one of the layouts; a test that takes it runs once for each."""
    folder = tmp_path / request.param
    folder.mkdir()
    LAYOUTS[request.param](records, folder)
    return folder


@pytest.fixture
def binary(records: np.ndarray, tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    write_binary(records, folder)
    return folder


@pytest.fixture
def archive(binary: Path, tmp_path: Path) -> Path:
    return pack(binary, tmp_path / "cifar-10-binary.tar.gz", inside="cifar-10-batches-bin")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cifar10"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes of thirty different pictures, and an empty cache."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    return plant(tmp_path / "photos", {"cat": 30, "dog": 30})
