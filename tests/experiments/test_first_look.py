from __future__ import annotations

import pytest

import headstart as hs
from headstart.experiments import first_look as looks
from headstart.experiments.first_look import first_look, some_of
from headstart.experiments.trial import Setting, pretrained, weights_of
from headstart.models.backbones import load_backbone
from headstart.runtime.device import make_fabric
from headstart.strategies import candidates_of
from headstart.training.activations import FrozenPass

SHARES = (0.8, 1.0)  # those of a whole comparison: a pass that gives other cuts may differ in its last bits


@pytest.fixture(scope="module")
def candidates():
    weights = weights_of(load_backbone("tf_efficientnet_lite0.in1k", 64, offline=True), None, True)
    return candidates_of([hs.STRATEGIES["base-cnn"], hs.STRATEGIES["frozen"]], [weights])


def looked(tiny, candidates, tmp_path, images, monkeypatch):
    setting, fabric = Setting(tmp_path, "cpu", None, SHARES), make_fabric("cpu")
    shared = pretrained(candidates[1].weights, SHARES, tiny.image_shape, fabric.device)
    monkeypatch.setattr(looks, "PASS_SECONDS", images * shared.engine()["image_seconds"] * 1.001)
    return first_look(candidates, tiny, fabric, setting, started=0.0)


def test_it_tells_of_frozen_on_some_of_train_and_some_of_val(tiny, candidates, tmp_path, monkeypatch):
    found = looked(tiny, candidates, tmp_path, 50, monkeypatch)
    assert (found.candidate, found.train, found.of_train, found.val) == ("frozen", 40, 96, 10)
    assert 0 <= found.interval.low <= found.interval.value <= found.interval.high <= 1
    assert found.interval.value > 0.5  # three easy classes
    assert "frozen about" in found.said and "40 of 96 images" in found.said


def test_no_image_of_test_is_passed(tiny, candidates, tmp_path, monkeypatch):
    passed = []
    run = FrozenPass._run

    def watched(self, part, view):
        passed.append(part)
        run(self, part, view)

    monkeypatch.setattr(FrozenPass, "_run", watched)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    looked(tiny, candidates, tmp_path, 50, monkeypatch)
    rows = [row for part in passed for rows in part.dataset.splits[0].parts.values() for row in rows]
    assert rows and not set(rows) & set(tiny.splits[0].test)


def test_where_all_images_take_no_longer_there_is_none(tiny, candidates, tmp_path, monkeypatch):
    assert looked(tiny, candidates, tmp_path, 126, monkeypatch) is None


def test_without_a_frozen_backbone_there_is_none(tiny, candidates, tmp_path):
    assert first_look(candidates[:1], tiny, make_fabric("cpu"), Setting(tmp_path), 0.0) is None


def test_every_class_is_among_the_few(tiny):
    few = some_of(tiny, 2)
    assert set(few.train.labels) == set(few.val.labels) == {0, 1, 2}
    assert len(few.test) == 0
