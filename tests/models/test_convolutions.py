from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from timm.layers import Conv2dSame
from timm.models._efficientnet_blocks import SqueezeExcite as TimmsSqueezeExcite
from torch import nn

from headstart.models import convolutions
from headstart.models.convolutions import MOST_PRODUCTS, Depthwise, GlobalMean, OfImages, Pointwise, SqueezeExcite, Wide


def like(plain, kind):
    """A convolution of our own kind with the geometry and the weights of a plain one."""
    keys = ("kernel_size", "stride", "padding", "groups")
    quick = kind(plain.in_channels, plain.out_channels, **{key: getattr(plain, key) for key in keys})
    quick.load_state_dict(plain.state_dict())
    quick.same = isinstance(plain, Conv2dSame)
    return quick


def assert_equal_with_gradients(quick, plain, shape):
    inputs = [torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2)]
    outputs = [convolution(x) for convolution, x in zip((quick, plain), inputs, strict=True)]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(quick.weight.grad, plain.weight.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(quick.bias.grad, plain.bias.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("height, width", [(1, 1), (4, 6), (7, 3), (8, 9), (20, 20), (21, 32)])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_a_depthwise_convolution_of_any_map_and_stride(kind, stride, kernel, height, width):
    assert MOST_PRODUCTS * 25 in range(8 * 9, 20 * 20), "both ways of doing it must be tried"
    padding = 0 if kind is Conv2dSame else kernel // 2
    plain = kind(4, 4, kernel, stride, padding, groups=4)
    assert_equal_with_gradients(like(plain, Depthwise), plain, (2, 4, height, width))


def test_a_depthwise_convolution_without_padding_or_bias():
    plain = nn.Conv2d(4, 4, 3, 2, groups=4, bias=False)
    quick = Depthwise(4, 4, 3, 2, groups=4, bias=False)
    quick.load_state_dict(plain.state_dict())
    for size in (6, 40):
        x = torch.randn(2, 4, size, size)
        torch.testing.assert_close(quick(x), plain(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("plain", [nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 7, 2, 3), Conv2dSame(3, 8, 3, 2)])
def test_the_first_convolution_in_any_memory_order(plain, memory_format):
    plain = plain.to(memory_format=memory_format)
    plain.zero_grad()
    assert_equal_with_gradients(like(plain, OfImages), plain, (2, 3, 22, 33))


def test_a_pointwise_convolution():
    plain = nn.Conv2d(6, 5, 1)
    assert_equal_with_gradients(like(plain, Pointwise), plain, (3, 6, 4, 5))


@pytest.mark.parametrize("input_is_trained", [False, True])
def test_a_pointwise_convolution_in_bf16(input_is_trained):
    plain = nn.Conv2d(6, 5, 1)
    quick = like(plain, Pointwise)
    x = torch.randn(3, 6, 4, 5, requires_grad=input_is_trained)
    gradients = []
    for convolution in (quick, plain):
        with torch.autocast("cpu", torch.bfloat16):
            out = convolution(x)
        assert out.dtype == torch.bfloat16
        wanted = [*convolution.parameters(), *([x] if input_is_trained else [])]
        gradients.append(torch.autograd.grad(out.float().square().sum(), wanted))
    for got, expected in zip(*gradients, strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=0.03, atol=0.03 * expected.abs().max().item())


def lying_as_chwn(*shape):
    """Maps (N, C, H, W) in float64 that lie as (C, H, W, N)."""
    maps = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return maps.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)


def assert_same_function(quick, plain, x):
    outputs, gradients = [], []
    for module in (quick, plain):
        inputs = x.detach().requires_grad_()
        outputs.append(module(inputs))
        gradients.append(torch.autograd.grad(outputs[-1].sin().sum(), [inputs, *module.parameters()]))
    torch.testing.assert_close(*outputs)
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (1, 2, 1, 1), (2, 1, 3, 1)])
def test_a_global_mean(shape):
    assert_same_function(GlobalMean(), nn.AdaptiveAvgPool2d(1), lying_as_chwn(*shape))
    assert_same_function(GlobalMean(), nn.AdaptiveAvgPool2d(1), lying_as_chwn(*shape).contiguous())


def test_the_gradient_of_a_global_mean_is_spread_over_pixels_without_a_copy():
    maps = lying_as_chwn(3, 4, 5, 6).requires_grad_()
    (gradient,) = torch.autograd.grad(GlobalMean()(maps).flatten(1).sum(), maps)
    assert gradient.untyped_storage().nbytes() == 3 * 4 * gradient.element_size()
    assert gradient.stride() == (1, 3, 0, 0)


def test_squeeze_and_excitation():
    plain = TimmsSqueezeExcite(6, rd_channels=2).double()
    quick = SqueezeExcite(OrderedDict(plain.named_children()))
    assert quick.state_dict().keys() == plain.state_dict().keys()
    assert_same_function(quick, plain, lying_as_chwn(3, 6, 4, 5))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("size", [(3, 3), (7, 5), (1, 2)])
def test_a_convolution_of_many_channels(size, bf16, monkeypatch):
    monkeypatch.setattr(convolutions, "WINDOWS_BYTES", 2 * 9 * 16 * size[0] * size[1] * 2)  # two images of five
    plain = nn.Conv2d(16, 12, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    quick = Wide(16, 12, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    quick.load_state_dict(plain.state_dict())
    x = torch.randn(5, 16, *size).to(memory_format=torch.channels_last).requires_grad_()
    outputs, gradients = [], []
    for convolution in (quick, plain):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs.append(convolution(x))
        gradients.append(torch.autograd.grad(outputs[-1].float().sin().sum(), [x, convolution.weight]))
    assert torch.equal(*outputs)
    for got, expected in zip(*gradients, strict=True):
        limit = (0.02 if bf16 else 1e-5) * expected.abs().max().item()
        torch.testing.assert_close(got, expected, rtol=0, atol=limit)


@pytest.mark.parametrize(
    "quick, operation",
    [
        (Pointwise(6, 6, 1), "conv2d"),
        (Depthwise(6, 6, 3, padding=1, stride=2, groups=6), "conv2d"),
        (GlobalMean(), "mean"),
        (SqueezeExcite(OrderedDict(TimmsSqueezeExcite(6, rd_channels=2).named_children())), "mean"),
    ],
)
def test_an_exported_program_has_the_plain_form_of_the_same_function(quick, operation):
    quick = convolutions.MatrixProducts(quick.double().requires_grad_(False).eval())
    maps = lying_as_chwn(3, 6, 5, 4)
    program = torch.export.export(quick, (maps,))
    torch.testing.assert_close(program.module()(maps), quick(maps))
    named = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert any(operation in each for each in named)
    assert not any(other in each for each in named for other in ("permute", "bmm", "addmm"))
