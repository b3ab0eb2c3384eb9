from __future__ import annotations

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from headstart.models.convolutions import MOST_PRODUCTS, Depthwise, OfImages, Pointwise


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
