from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from headstart.models.matmul import LARGEST_MAP, Depthwise, Pointwise, as_matrix_products


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


@pytest.fixture(scope="module")
def tail():
    model = with_statistics(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    return nn.Sequential(*model.blocks[5][2:], *model.blocks[6], model.conv_head, model.bn2, model.global_pool)


@pytest.mark.parametrize("size", [2, 5, 7])
def test_a_tail_gives_the_same_and_the_same_gradients(tail, size):
    fast = as_matrix_products(tail, torch.Size((192, size, size)))
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(Depthwise) == 3
    assert kinds.count(Pointwise) == 7
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


def test_squeeze_and_excitation_is_no_obstacle():
    model = with_statistics(timm.create_model("tf_efficientnet_b0", num_classes=0))
    pieces = nn.Sequential(*model.blocks[5][2:], *model.blocks[6], model.conv_head, model.bn2, model.global_pool)
    fast = as_matrix_products(pieces, torch.Size((192, 5, 5)))
    x = torch.randn(2, 192, 5, 5)
    torch.testing.assert_close(fast(x), pieces(x), rtol=1e-3, atol=1e-4)
    assert any(isinstance(module, Depthwise) for module in fast.modules())


@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 1, 1), (3, 4, 6), (5, 3, 7), (3, 20, 20)])
def test_a_depthwise_convolution_of_any_map(kernel, height, width):
    assert LARGEST_MAP in range(3 * 7, 20 * 20), "both ways of doing it must be tried"
    plain = nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=4)
    fast = Depthwise(4, 4, kernel, padding=kernel // 2, groups=4)
    fast.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, height, width)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-4, atol=1e-5)


def test_the_original_is_left_as_it_was(tail):
    before = {name: value.clone() for name, value in tail.state_dict().items()}
    fast = as_matrix_products(tail, torch.Size((192, 5, 5)))
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
    same = as_matrix_products(pieces, torch.Size((4, 3, 3)))
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(same(x), pieces(x))
    assert isinstance(same[0].norm, nn.BatchNorm2d)
    assert same[0] is not pieces[0]


def test_whether_to_fold_depends_on_the_structure_alone():
    """Else a network would be built otherwise when it is loaded: fresh statistics make any fold look right."""
    fresh = as_matrix_products(nn.Sequential(NormFirst()).eval(), torch.Size((4, 3, 3)))
    assert isinstance(fresh[0].norm, nn.BatchNorm2d)
