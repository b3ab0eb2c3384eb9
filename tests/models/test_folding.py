from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from headstart.models.convolutions import (
    Depthwise,
    GlobalMean,
    MatrixProducts,
    OfImages,
    Pointwise,
    SqueezeExcite,
)
from headstart.models.folding import SMALL_MAP, retrainable


def with_statistics(model):
    """BatchNorms that have seen something: a fresh one folds into nothing."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def retrained(pieces, shape, fold=True):
    return nn.Sequential(*retrainable(pieces, torch.Size(shape), fold))


@pytest.fixture(scope="module")
def tail():
    model = with_statistics(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    return nn.Sequential(*model.blocks[5][2:], *model.blocks[6], model.conv_head, model.bn2, model.global_pool)


@pytest.mark.parametrize("size", [2, 5, 7])
def test_a_tail_gives_the_same_and_the_same_gradients(tail, size):
    fast = retrained(tail, (192, size, size))
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(Depthwise) == 3
    assert kinds.count(Pointwise) == 7
    assert kinds.count(GlobalMean) == 1
    assert nn.BatchNorm2d not in kinds
    x = torch.randn(
        3, 192, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    outputs, gradients = [], []
    for network in (
        copy.deepcopy(tail).double(),
        fast.double(),
    ):  # in fp32, activations at a kink could fall either way
        outputs.append(network(x))
        gradients.append(torch.autograd.grad(outputs[-1].square().sum(), x)[0])
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-6)  # the fold itself was done in fp32
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def whole():
    model = with_statistics(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    blocks = [block for stage in model.blocks for block in stage]
    return nn.Sequential(model.conv_stem, model.bn1, *blocks, model.conv_head, model.bn2, model.global_pool)


def test_a_whole_network_has_a_part_for_large_maps_and_one_for_small_ones(whole):
    fast = retrained(whole, (3, 64, 64))
    assert [type(part) for part in fast] == [nn.Sequential, MatrixProducts]
    assert isinstance(fast[0][0], OfImages)
    seen = []
    plain = copy.deepcopy(whole)
    for piece in plain:
        piece.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[2] * x[0].shape[3]))
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-3, atol=1e-3)
    assert [pixels <= SMALL_MAP for pixels in seen] == [False] * len(fast[0]) + [True] * len(fast[1])


def test_norms_that_go_on_learning_are_not_folded(whole):
    fast, plain = retrained(whole, (3, 64, 64), fold=False).train(), copy.deepcopy(whole).train()
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(Depthwise) == 16
    assert sum(isinstance(module, nn.BatchNorm2d) for module in fast.modules()) == 49
    assert [value.shape for value in fast.state_dict().values()] == [v.shape for v in whole.state_dict().values()]
    x = torch.randn(8, 3, 64, 64)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-3, atol=1e-3)
    moved, expected = fast[0][1].running_mean, plain[1].running_mean
    torch.testing.assert_close(moved, expected)
    assert not torch.equal(moved, whole[1].running_mean)


def test_squeeze_and_excitation_is_no_obstacle():
    model = with_statistics(timm.create_model("tf_efficientnet_b0", num_classes=0))
    pieces = nn.Sequential(*model.blocks[5][2:], *model.blocks[6], model.conv_head, model.bn2, model.global_pool)
    fast = retrained(pieces, (192, 5, 5))
    x = torch.randn(2, 192, 5, 5)
    torch.testing.assert_close(fast(x), pieces(x), rtol=1e-3, atol=1e-4)
    kinds = [type(module) for module in fast.modules()]
    assert (kinds.count(Depthwise), kinds.count(SqueezeExcite)) == (3, 3)
    assert nn.Conv2d not in kinds  # those within the excitation are products too


def test_a_tail_has_the_names_that_saved_networks_have():
    for name in ("tf_efficientnet_lite0", "tf_efficientnet_b0"):
        model = timm.create_model(name, num_classes=0)
        pieces = nn.Sequential(*model.blocks[6], model.conv_head, model.bn2, model.global_pool)
        (fast,) = retrainable(pieces, torch.Size((192, 5, 5)), fold=True)
        convolutions = [place for place, module in pieces.named_modules() if isinstance(module, nn.Conv2d)]
        assert list(fast.state_dict()) == [f"{place}.{kind}" for place in convolutions for kind in ("weight", "bias")]


def test_the_original_is_left_as_it_was(tail):
    before = {name: value.clone() for name, value in tail.state_dict().items()}
    fast = retrained(tail, (192, 5, 5))
    with torch.no_grad():
        for parameter in fast.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], value) for name, value in tail.state_dict().items())


class NormFirst(nn.Module):
    """Registers its layers in another order than it uses them in."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.conv(self.norm(x).relu())


def test_where_a_norm_comes_before_its_convolution_nothing_is_folded():
    pieces = nn.Sequential(with_statistics(NormFirst()))
    same = retrained(pieces, (4, 3, 3))
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(same(x), pieces(x))
    assert isinstance(same[0][0].norm, nn.BatchNorm2d)
    assert same[0][0] is not pieces[0]


def test_whether_to_fold_depends_on_the_structure_alone():
    """Else a network would be built otherwise when it is loaded: fresh statistics make any fold look right."""
    fresh = retrained(nn.Sequential(NormFirst()).eval(), (4, 3, 3))
    assert isinstance(fresh[0][0].norm, nn.BatchNorm2d)
