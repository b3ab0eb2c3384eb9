"""The short list of backbones: what it says of networks is so, and it fits a terminal."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from headstart.cli import main
from headstart.experiments import shortlist as listing
from headstart.models.backbones import EFFICIENTNET_LITE0, IMAGE_SIZE, load_backbone, pretrained_config
from headstart.networks import FREE, LISTED, SIZES, UNKNOWN, caution


@pytest.fixture
def rated(monkeypatch):
    """A machine of a known pace that the hub does not answer."""
    monkeypatch.setattr(listing, "measured_rate", lambda device: 2.0)
    monkeypatch.setattr(listing, "hub_answers", lambda: False)


@pytest.mark.parametrize("name", [EFFICIENTNET_LITE0, "resnet18.a1_in1k"])
def test_parameters_and_multiply_adds_are_those_of_the_network(name):
    row = LISTED[name]
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0).eval()
        with FlopCounterMode(display=False) as counted, torch.inference_mode():
            model(torch.empty(1, 3, row.image_size, row.image_size))
    assert sum(each.numel() for each in model.parameters()) / 1e6 == pytest.approx(row.parameters, abs=0.005)
    assert counted.get_total_flops() / 2e9 == pytest.approx(row.multiply_adds, abs=0.0005)


@pytest.mark.parametrize("name", LISTED)
def test_licence_and_size_are_what_timm_says(name):
    config = pretrained_config(name)
    assert config["license"] == LISTED[name].licence
    assert LISTED[name].image_size == (config["input_size"][-1] if config["fixed_input_size"] else IMAGE_SIZE)
    assert config["hf_hub_id"]


def test_it_fits_eighty_columns_and_says_what_is_here(rated, capsys):
    main(["backbones", "--images", "1000000"])
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 80
    (row,) = (line.split() for line in printed if line.startswith(EFFICIENTNET_LITE0))
    assert row[-3:] == ["here", "39", "h"]  # a million images of 0.282 thousand million, 2 of them a second
    assert sum(line.split()[-3:-2] == ["no"] for line in printed) >= 11  # three may have come as packages


def test_the_same_as_json(rated, capsys):
    main(["backbones", "--images", "10", "--offline", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 10
    assert [row["name"] for row in found["backbones"]] == list(LISTED)
    assert {row["name"]: row["weights"] for row in found["backbones"]}[EFFICIENTNET_LITE0] == "here"


def test_what_the_hub_has_can_be_fetched(rated, monkeypatch):
    monkeypatch.setattr(listing, "hub_answers", lambda: True)
    seen = {each.row.name: each.weights for each in listing.shortlist(1)}
    assert seen["vit_small_patch14_dinov2.lvd142m"] == listing.HUB


def test_a_size_is_a_row_of_the_list():
    assert load_backbone("small", 64, offline=True).name == SIZES["small"]
    assert {LISTED[name].licence for name in SIZES.values()} <= set(FREE)
    costs = [LISTED[SIZES[size]].multiply_adds for size in ("small", "medium", "large")]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("apache-2.0", ""),
        ("cc-by-nc-4.0", "not free for commercial use: cc-by-nc-4.0"),
        ("dinov3-license", "terms of their own, dinov3-license"),
        (UNKNOWN, "Nobody tells under which licence"),
    ],
)
def test_what_is_not_free_is_said(licence, said):
    assert (said in caution("net", licence)) and bool(caution("net", licence)) == bool(said)
