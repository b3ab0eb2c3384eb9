import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from headstart.data.cifar10 import sources as cifar10
from headstart.data.cifar10.sources import Content
from headstart.data.dataset import Split
from headstart.data.load import DATASETS, limited, load
from headstart.errors import HeadstartError
from headstart.options import FITS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def small(content: Content, cache: Path, binary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `load("cifar10")` finds 90, 10 and 20 images."""
    monkeypatch.setitem(DATASETS, "cifar10", partial(cifar10.load, content=content))
    return binary


def test_an_unknown_name_is_an_error_that_names_the_known():
    with pytest.raises(HeadstartError, match=r"'cifar11' is neither .* known data set: cifar10"):
        load("cifar11")


def test_a_folder_that_is_called_like_a_data_set_is_told_and_had_by_its_path(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "here" / "cifar10").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert len(load("cifar10", data_dir=small).train) == 90
    assert "what lies here under it is ./cifar10" in capsys.readouterr().err
    with pytest.raises(HeadstartError, match="cifar10: no class folders"):
        load("./cifar10")


def test_the_train_limit_is_stratified_and_leaves_val_and_test_whole(small: Path):
    whole, few = (load("cifar10", data_dir=small, train_limit=limit) for limit in (None, 30))
    assert np.bincount(few.train.labels).tolist() == [3] * 10
    assert few.train.images.shape == (30, 32, 32, 3)
    assert np.array_equal(few.val.rows, whole.val.rows) and np.array_equal(few.test.rows, whole.test.rows)
    known = {image.tobytes() for image in whole.train.images}
    assert all(image.tobytes() in known for image in few.train.images)


@pytest.mark.parametrize("fit", FITS)
def test_squares_are_the_same_by_every_fit_which_is_kept_for_use(small: Path, fit: str):
    fitted, usual = load("cifar10", data_dir=small, fit=fit, train_limit=30), load("cifar10", data_dir=small)
    assert fitted.fit == fit
    assert fitted.fingerprint == usual.fingerprint


def test_an_unknown_fit_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(DATASETS, "cifar10", lambda *_: pytest.fail("the data was loaded"))
    with pytest.raises(HeadstartError, match="fit: 'squash' is none of stretch, crop, letterbox"):
        load("cifar10", fit="squash")


def test_a_train_limit_of_all_is_no_limit(small: Path):
    assert len(load("cifar10", data_dir=small, train_limit=90).train) == 90


@pytest.mark.parametrize("limit", [-5, 0])
def test_a_train_limit_of_no_images_is_refused_before_any_work(limit: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(DATASETS, "cifar10", lambda *_: pytest.fail("the data was loaded"))
    with pytest.raises(HeadstartError, match=f"train_limit: {limit} is not a whole number of 1 or more"):
        load("cifar10", train_limit=limit)


@pytest.mark.parametrize("limit", [9, 91])
def test_a_train_limit_that_cannot_be_had_is_refused(small: Path, limit: int):
    with pytest.raises(HeadstartError, match=f"between 10 .* and all 90: {limit} is not"):
        load("cifar10", data_dir=small, train_limit=limit)


def test_smaller_training_sets_are_nested_in_larger_ones(small: Path):
    smaller, larger = (load("cifar10", data_dir=small, train_limit=limit).train.images for limit in (17, 41))
    assert {image.tobytes() for image in smaller} < {image.tobytes() for image in larger}


def test_a_limit_chooses_rows_and_keeps_images_and_fingerprint(small: Path):
    whole = load("cifar10", data_dir=small)
    few = load("cifar10", data_dir=small, train_limit=30)
    assert len(few) == len(whole) == 120
    assert few.fingerprint == whole.fingerprint
    assert set(few.train.rows) < set(whole.train.rows)
    assert (np.diff(few.train.rows) > 0).all()


def test_a_limit_of_several_splits_limits_each(small: Path):
    whole = load("cifar10", data_dir=small)
    [first] = whole.splits
    swapped = Split("swapped", first.train, val=first.test, test=first.val)
    made = limited(whole.with_splits(first, swapped), 30)
    assert [(split.name, len(split.train), len(split.val)) for split in made.splits] == [
        ("holdout", 30, 10),
        ("swapped", 30, 20),
    ]


def test_a_part_is_read_into_one_block_of_memory_that_training_may_take_over(small: Path):
    dataset = load("cifar10", data_dir=str(small), train_limit=30)
    for part in dataset.parts.values():
        images = part.images[:]
        assert images.flags.c_contiguous and images.flags.writeable and images.flags.owndata
        assert (images.dtype, part.labels.dtype) == (np.uint8, np.int64)


def test_importing_the_loader_imports_nothing_heavy():
    heavy = {"torch", "torchvision", "pyarrow", "PIL", "sklearn", "huggingface_hub"}
    code = "import sys, headstart.data.load; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(imported.stdout.split())
