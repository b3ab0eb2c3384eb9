"""One network trained by several processes, each on its part of every batch: what they do together is what one process
would do with the whole. docs/decisions/devices.md"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from headstart.errors import HeadstartError
from headstart.training.checkpoint import State


@dataclass(frozen=True)
class Part:
    """The part of a batch that this process is given. mine: which of its images. images: how many the whole batch has.
    processes: among how many it is divided; parts differ by one image at most."""

    mine: slice
    images: int
    processes: int

    @classmethod
    def of(cls, images: int, fabric: Fabric) -> Part:
        """This process's part of so many images."""
        start, end = (images * (fabric.global_rank + more) // fabric.world_size for more in (0, 1))
        return cls(slice(start, end), images, fabric.world_size)

    def seeing_all(self) -> AbstractContextManager[Any]:
        """While what depends on the whole batch is computed from all parts."""
        return nullcontext() if self.processes == 1 else WholeBatch(self)


class WholeBatch(TorchFunctionMode):
    """BatchNorm takes its statistics over all parts of a batch, and dropout draws for all of it.

    `nn.SyncBatchNorm` does not run on a CPU, and whoever looks for BatchNorm, to fold it or to keep it as it is, would
    not find it: here the layers stay what they are.
    """

    def __init__(self, part: Part):
        super().__init__()
        self.part = part

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Do what was called, or what stands for it."""
        instead: dict[Any, Callable[..., Any]] = {F.batch_norm: self._batch_norm, F.dropout: self._dropout}
        return instead.get(function, function)(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """As F.batch_norm, of the part (n, C, ...) of a batch."""
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        values, axes, shape = x.float(), [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
        total = self.part.images * x[0, 0].numel()
        mean = _Sum.apply(values.sum(axes)) / total
        centred = values - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / total
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (total / (total - 1)), momentum)
        scale = (variance + eps).rsqrt()
        out = centred * (scale if weight is None else scale * weight).view(shape)
        return (out if bias is None else out + bias.view(shape)).to(x.dtype)

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """As F.dropout, of the part (n, ...) of a batch: each process draws for all, so that all go on alike."""
        if not training or p == 0:
            return F.dropout(x, p, training, inplace)
        return x * F.dropout(x.new_ones(self.part.images, *x.shape[1:]), p)[self.part.mine]


class _Sum(torch.autograd.Function):
    """The sum over all processes, and of the gradients too: each loss depends on each part."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)
    return total


def summed(fabric: Fabric, *numbers: Tensor) -> tuple[Tensor, ...]:
    """Each of these numbers (), summed over all processes."""
    return numbers if fabric.world_size == 1 else _summed(torch.stack([each.float() for each in numbers])).unbind()


def refuse_few(images: int, fabric: Fabric) -> None:
    """Raise HeadstartError where batches of so many images leave a process without one."""
    if images < fabric.world_size:
        raise HeadstartError(
            f"--devices {fabric.world_size}: batches have {images} images here, too few for so many: take --devices 1"
        )


def align(state: State, fabric: Fabric) -> None:
    """Let all processes stand where the first one stands, its random generators too."""
    if fabric.world_size == 1:
        return
    tensors: Mapping[str, Tensor] = {}
    if fabric.is_global_zero:
        tensors = {name: value.cpu() for name, value in state.tensors().items()}
    kept = fabric.broadcast((tensors, state.values()))
    if not fabric.is_global_zero:
        state.load(*kept)
