from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from small_runs import make_dataset, write_network

from headstart.inference import explain
from headstart.report import heat
from headstart.report.confusion import Gallery, Shot

GALLERIES = [
    Gallery("base-cnn", "", [Shot(5, 1, ()), Shot(3, 0, ())]),
    Gallery("base-cnn", "", [Shot(3, 0, ()), Shot(3, 1, ())]),
]


def test_each_image_of_a_gallery_is_explained_once_for_the_class_that_was_said(make_comparison: Callable):
    pytest.importorskip("pytorch_grad_cam")
    comparison, dataset = make_comparison(("base-cnn",), dataset=make_dataset(("cat", "dog"), size=32))
    write_network(comparison.folder, "base-cnn", dataset)
    found = heat.warmed(comparison, GALLERIES, dataset.test.images)
    assert list(found) == [("base-cnn", 5, 1), ("base-cnn", 3, 0), ("base-cnn", 3, 1)]
    assert all((it.shape, it.dtype) == ((32, 32, 3), np.uint8) for it in found.values())
    assert not np.array_equal(found["base-cnn", 3, 0], found["base-cnn", 3, 1])
    first = explain.Classifier.load(comparison.runs[0].folder)
    maps = explain.heatmaps(first, dataset.test.images[[5, 3]], [1, 0])
    assert np.abs(found["base-cnn", 5, 1].astype(int) - explain.blend(dataset.test.images[5], maps[0])).max() <= 2


def test_of_several_seeds_the_one_that_said_it_is_asked(make_comparison: Callable, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("pytorch_grad_cam")
    comparison, dataset = make_comparison(("base-cnn",), seeds=(3, 4), dataset=make_dataset(("cat", "dog"), size=32))
    asked = []
    as_it_is = SimpleNamespace(square=lambda pixels: pixels)
    monkeypatch.setattr("headstart.inference.classifier.Classifier.load", lambda at: asked.append(at) or as_it_is)
    monkeypatch.setattr(explain, "heatmaps", lambda _, images, classes: images[..., 0] / 255)
    of_the_second = Gallery("base-cnn", "", [Shot(2, 1, (), seed=1)])
    found = heat.warmed(comparison, [*GALLERIES, of_the_second], dataset.test.images)
    assert list(found) == [("base-cnn", 5, 1), ("base-cnn", 3, 0), ("base-cnn", 3, 1), ("base-cnn", 2, 1)]
    assert [folder.name for folder in asked] == ["holdout-seed3", "holdout-seed4"]


def test_what_cannot_be_explained_is_left_out_and_said_in_one_line(
    make_comparison: Callable, capsys: pytest.CaptureFixture
):
    pytest.importorskip("pytorch_grad_cam")
    comparison, dataset = make_comparison(("base-cnn", "last20"), dataset=make_dataset(("cat", "dog"), size=32))
    write_network(comparison.folder, "base-cnn", dataset)
    found = heat.warmed(comparison, [*GALLERIES, Gallery("last20", "", [Shot(1, 0, ())])], dataset.test.images)
    assert {strategy for strategy, _, _ in found} == {"base-cnn"}
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("the report has no heat maps of last20: ")
    assert "model.safetensors is missing" in said


def test_no_error_of_any_kind_ends_a_finished_comparison(
    make_comparison: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("pytorch_grad_cam")
    comparison, dataset = make_comparison(("base-cnn",), dataset=make_dataset(("cat", "dog"), size=32))
    (comparison.runs[0].folder / "model.safetensors").write_bytes(b"no weights")
    assert heat.warmed(comparison, GALLERIES, dataset.test.images) == {}
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_the_package_there_are_none_and_one_line_says_how_to_get_it(
    make_comparison: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    comparison, dataset = make_comparison(("base-cnn",))
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    assert heat.warmed(comparison, GALLERIES, dataset.test.images) == {}
    (said,) = capsys.readouterr().err.splitlines()
    assert said == "the report has no heat maps: pip install 'headstart[explain]' brings what they need"
