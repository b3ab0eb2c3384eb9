from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from PIL import Image
from small_runs import make_dataset, write_network

from headstart.data.load import load
from headstart.errors import HeadstartError
from headstart.evaluation.examples import by_importance, choose
from headstart.report import confusion, drawing, images
from headstart.report.reading import predictions
from headstart.results import runs
from headstart.results.checksums import read_checksums, write_checksums
from headstart.results.comparison import Comparison
from headstart.results.files import sha256
from headstart.results.pictures import read_pictures


def size_of(jpeg: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(jpeg)) as picture:
        assert picture.format == "JPEG"
        return picture.size


def test_small_pictures_are_kept_of_the_images_that_the_predictions_choose(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn", "last20"))
    images.keep_pictures(comparison, dataset)
    kept = read_pictures(comparison.folder)
    examples = choose(*predictions(comparison))
    pairs = confusion.confused_pairs(comparison, examples[comparison.recommended])
    first = [shot.image for gallery in pairs for shot in gallery.shots]
    assert list(kept.tests) == list(dict.fromkeys([*first, *by_importance(examples)]))
    assert len(kept.tests) > 10
    for index, jpeg in kept.tests.items():
        pixels = np.asarray(Image.open(io.BytesIO(jpeg)), int)
        assert np.abs(pixels - dataset.test.images[index]).mean() < 12  # noise, as JPEG renders it
    assert [label for label, _ in kept.samples] == [label for label in range(10) for _ in range(6)]
    assert kept.counts.tolist() == [[6] * 10] * 3


def test_what_does_not_fit_is_what_matters_least(make_comparison: Callable, monkeypatch: pytest.MonkeyPatch):
    comparison, dataset = make_comparison(("base-cnn",))
    images.keep_pictures(comparison, dataset)
    everything = read_pictures(comparison.folder)
    room = 3 * max(map(len, everything.tests.values()))
    monkeypatch.setattr(images, "MOST_BYTES", room)
    images.keep_pictures(comparison, dataset)
    kept = read_pictures(comparison.folder)
    of_samples = sum(len(jpeg) for _, jpeg in kept.samples)
    assert 0 < len(kept.samples) < len(everything.samples) and of_samples <= room / 2
    sizes = np.cumsum([len(jpeg) for jpeg in everything.tests.values()])
    assert 0 < len(kept.tests) < len(everything.tests)
    assert list(kept.tests) == list(everything.tests)[: np.searchsorted(sizes, room - of_samples, side="right")]


def galleries_of(comparison: Comparison) -> list[confusion.Gallery]:
    logits, labels = predictions(comparison)
    return [*chain.from_iterable(confusion.galleries(comparison, choose(logits, labels), logits, labels).values())]


def test_every_image_of_a_gallery_gets_its_heat_map_of_the_networks_own(make_comparison: Callable):
    pytest.importorskip("pytorch_grad_cam")
    comparison, dataset = make_comparison(("base-cnn", "last20"), dataset=make_dataset(size=32))
    for strategy in ("base-cnn", "last20"):
        write_network(comparison.folder, strategy, dataset)
    images.keep_pictures(comparison, dataset)
    kept = read_pictures(comparison.folder)
    shown = {(it.candidate, shot.image, shot.taken) for it in galleries_of(comparison) for shot in it.shots}
    assert kept.heats.keys() == shown
    assert {image for _, image, _ in shown} <= kept.tests.keys()
    assert all(size_of(jpeg) == (32, 32) for jpeg in kept.heats.values())


@pytest.mark.usefixtures("given_heats")
def test_heat_maps_share_the_room_of_all_small_pictures(make_comparison: Callable, monkeypatch: pytest.MonkeyPatch):
    comparison, dataset = make_comparison(("base-cnn",))
    images.keep_pictures(comparison, dataset)
    everything = read_pictures(comparison.folder)
    of_heats = sum(map(len, everything.heats.values()))
    room = 2 * (of_heats + len(next(iter(everything.tests.values()))))  # samples have half of it at most
    monkeypatch.setattr(images, "MOST_BYTES", room)
    images.keep_pictures(comparison, dataset)
    kept = read_pictures(comparison.folder)
    left = room - of_heats - sum(len(jpeg) for _, jpeg in kept.samples)
    sizes = np.cumsum([len(jpeg) for jpeg in everything.tests.values()])
    assert 0 < len(kept.tests) < len(everything.tests)
    assert list(kept.tests) == list(everything.tests)[: np.searchsorted(sizes, left, side="right")]


@pytest.mark.usefixtures("given_heats")
def test_a_finished_folder_may_be_given_new_pictures_and_its_checksums_stay_right(make_comparison: Callable):
    comparison, dataset = make_comparison(("base-cnn",))
    write_checksums(comparison.folder)
    images.keep_pictures(comparison, dataset)
    checksums = read_checksums(comparison.folder)
    assert {"examples.npz", "figures/samples.png", "figures/class_balance.png"} < checksums.keys()
    assert all(sha256(comparison.folder / name) == digest for name, digest in checksums.items())


def test_a_large_image_is_made_small_and_keeps_its_shape():
    assert size_of(images.small_jpeg(np.zeros((300, 150, 3), np.uint8))) == (32, 64)
    assert size_of(images.small_jpeg(np.zeros((8, 20, 3), np.uint8))) == (20, 8)


@pytest.mark.parametrize(("fit", "shown"), [("stretch", (32, 64)), ("crop", (32, 32)), ("letterbox", (32, 64))])
def test_a_picture_is_shown_in_the_shape_of_its_file_whatever_the_network_was_given(tmp_path, fit, shown):
    for number, name in enumerate(["cat", "dog"] * 10):
        (tmp_path / name).mkdir(exist_ok=True)
        pixels = np.full((64, 32, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    part = load(tmp_path, fit=fit).train
    heat = np.full((192, 192, 3), 99, np.uint8)
    assert size_of(images.small_jpeg(images.as_shown(part, 0))) == shown
    assert size_of(images.small_jpeg(images.as_shown(part, 0, heat))) == ((64, 64) if fit == "crop" else shown)
    assert len(np.unique(images.as_shown(part, 0))) == 1  # neither bars nor edges


def test_samples_and_class_balance_are_drawn_once(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    images.keep_pictures(comparison, dataset)
    assert {path.name for path in (comparison.folder / runs.FIGURES).iterdir()} == {"samples.png", "class_balance.png"}


def test_another_data_set_is_refused(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",))
    other = replace(dataset, labels=dataset.labels[::-1].copy())
    with pytest.raises(HeadstartError, match="load that"):
        images.keep_pictures(comparison, other)
    assert not (comparison.folder / runs.EXAMPLES).exists()


def test_class_balance_names_the_largest_and_the_smallest_class():
    dataset = make_dataset(("cat", "dog"))
    dataset.labels[dataset.train.rows] = [0] * 10 + [1] * 2
    figure = images.class_balance(images.counts(dataset), dataset.class_names)
    assert figure.get_suptitle() == "cat has 5.0 times as many training images as dog"


def test_show_puts_samples_balance_and_augmentation_on_one_picture(tmp_path):
    dataset = make_dataset(("cat", "$x^2$", "鹿"))
    originals = dataset.train.images[:2]
    images.show(dataset, (originals, np.stack([originals, originals[:, :, ::-1]], axis=1)), tmp_path / "show.png")
    with Image.open(tmp_path / "show.png") as picture:
        assert picture.width == drawing.WIDTH * drawing.DPI
        assert picture.height > picture.width / 2


def test_an_image_is_drawn_with_its_own_pixels():
    black = np.zeros((1, 8, 8, 3), np.uint8)
    drawn = np.asarray(Image.open(io.BytesIO(drawing.png(images.augmentation(black, black[:, None])))).convert("L"))
    assert (drawn == 0).mean() > 0.02
