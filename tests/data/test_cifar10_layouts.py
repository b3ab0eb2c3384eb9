import io
import pickle
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from headstart.data.cifar10 import layouts as layouts
from headstart.data.cifar10.sources import Content, verified
from headstart.errors import HeadstartError


def test_every_layout_decodes_to_the_same_records(published: Path, records: np.ndarray, content: Content):
    decoded, _ = layouts.read(layouts.locate(published))
    np.testing.assert_array_equal(verified(decoded, content, published), records)


def test_an_archive_is_read_like_the_folder_it_was_made_from(archive: Path, records: np.ndarray):
    decoded, words = layouts.read(layouts.locate(archive))
    np.testing.assert_array_equal(decoded, records)
    assert words == "official binary batches"


def test_a_folder_that_holds_the_archive_will_do(archive: Path, tmp_path: Path):
    (tmp_path / "downloads").mkdir()
    moved = archive.rename(tmp_path / "downloads" / archive.name)
    assert layouts.locate(tmp_path / "downloads") == moved


def test_a_folder_around_the_official_folder_will_do(binary: Path):
    assert layouts.locate(binary.parent) == binary


def test_an_archive_cannot_write_outside_of_memory(archive: Path, binary: Path, tmp_path: Path, records: np.ndarray):
    hostile = tmp_path / "hostile" / "cifar-10-binary.tar.gz"
    hostile.parent.mkdir()
    with tarfile.open(hostile, "w:gz") as tar:
        for path in binary.iterdir():
            tar.add(path, f"../../{path.name}")
        link = tarfile.TarInfo("test_batch")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    before = sorted(tmp_path.rglob("*"))
    decoded, _ = layouts.read(hostile)
    np.testing.assert_array_equal(decoded, records)
    assert sorted(tmp_path.rglob("*")) == before


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return subprocess.getoutput, (f"touch {self.marker}",)


def as_python_batches(batch: bytes, folder: Path) -> Path:
    folder.mkdir()
    for name in layouts.BATCHES:
        (folder / name).write_bytes(batch)
    return folder


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path):
    marker = tmp_path / "it-ran"
    folder = as_python_batches(pickle.dumps({"data": Hostile(marker)}), tmp_path / "batches")
    with pytest.raises(HeadstartError, match=r"refused: a python batch that asks for subprocess\.getoutput"):
        layouts.read(folder)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["numpy.testing._private.utils\nrunstring", "numpy\nload", "builtins\neval"])
def test_only_the_three_names_of_the_official_pickles_are_known(tmp_path: Path, name: str):
    folder = as_python_batches(f"c{name}\n.".encode(), tmp_path / "batches")
    with pytest.raises(HeadstartError, match="refused"):
        layouts.read(folder)


def test_a_pickled_array_of_objects_is_refused(tmp_path: Path):
    file = io.BytesIO()
    pickle.dump({"data": np.array([None])}, file, protocol=4)
    with pytest.raises(HeadstartError, match="refused: a python batch with O8 data"):
        layouts.read(as_python_batches(file.getvalue(), tmp_path / "batches"))


def test_a_missing_batch_is_named(published: Path):
    gone = next(path for path in sorted(published.rglob("*test*")) if path.is_file())
    gone.unlink()
    with pytest.raises(HeadstartError, match=f"but not {gone.name}"):
        layouts.read(layouts.locate(published))


def test_a_damaged_batch_is_an_error_that_names_the_place(published: Path):
    for path in published.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(HeadstartError, match=f"{published}.* cannot be decoded"):
        layouts.read(layouts.locate(published))


def test_a_truncated_archive_is_an_error_that_names_it(archive: Path):
    archive.write_bytes(archive.read_bytes()[:100_000])
    with pytest.raises(HeadstartError, match=archive.name):
        layouts.read(archive)


def test_a_file_that_is_no_archive_is_an_error_that_names_it(tmp_path: Path):
    page = tmp_path / "cifar-10-python.tar.gz"
    page.write_text("<html>503 Service Unavailable</html>")
    with pytest.raises(HeadstartError, match=r"cifar-10-python\.tar\.gz: cannot be read"):
        layouts.read(page)


def test_a_folder_without_the_data_is_an_error_that_says_what_is_known(tmp_path: Path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(HeadstartError, match=r"no CIFAR-10 in it; known are .*cifar-10-python\.tar\.gz"):
        layouts.locate(tmp_path)
