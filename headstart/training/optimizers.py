"""Which parameters are trained, by which rule, and how fast at each moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from headstart.strategies import Group, Recipe


class Muon(Optimizer):
    """Momentum, then the nearest orthogonal matrix in place of the gradient: for convolution filters and matrices.

    Each filter bank is flattened to (out, rest), as in Jordan et al. 2024, "Muon: An optimizer for hidden layers in
    neural networks"; torch.optim.Muon (2.15) takes plain matrices only. Weights are kept at the norm of their Dirac
    start, sqrt(number of filters), since a BatchNorm follows: only their direction matters, and lr turns it. dtype: of
    the matrix products, see `orthogonalised`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.6,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "dtype": dtype})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; weights (out, ...) of two dimensions or more."""
        for group in self.param_groups:
            for weight in (p for p in group["params"] if p.grad is not None):
                if "velocity" not in self.state[weight]:
                    self.state[weight]["velocity"] = torch.zeros_like(weight)
                velocity = self.state[weight]["velocity"]
                velocity.mul_(group["momentum"]).add_(weight.grad)
                nesterov = weight.grad.add(velocity, alpha=group["momentum"])
                direction = orthogonalised(nesterov.flatten(1), group["dtype"]).view_as(weight)
                weight.mul_(math.sqrt(len(weight)) / weight.norm()).add_(direction, alpha=-group["lr"])


def orthogonalised(matrix: Tensor, dtype: torch.dtype = torch.float32, steps: int = 3) -> Tensor:
    """About the nearest (semi-)orthogonal matrix: `steps` quintic Newton-Schulz iterations in `dtype`.

    matrix: (M, N) of any float dtype, returned in the same. The coefficients are Jordan's: singular values end between
    about 0.7 and 1.2, which serves as well as 1 and takes fewer steps. So loose a goal needs no more than bf16, but a
    CPU without instructions for it takes a hundred times as long as in fp32.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide.to(dtype) / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide is matrix else x.T).to(matrix.dtype)


PLATEAU_PATIENCE = 2  # epochs

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adamw": lambda params, lr, weight_decay, momentum, dtype: AdamW(
        params, lr=lr, weight_decay=weight_decay, betas=(momentum, 0.999), fused=True
    ),
    "sgd": lambda params, lr, weight_decay, momentum, dtype: SGD(
        params, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=momentum > 0
    ),
    "muon": lambda params, lr, weight_decay, momentum, dtype: Muon(params, lr=lr, momentum=momentum, dtype=dtype),
}

DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
}


def make_optimizers(model: nn.Module, recipe: Recipe, dtype: torch.dtype = torch.float32) -> list[Optimizer]:
    """One optimizer a group of the recipe. A parameter belongs to the first group whose pattern its name matches; one
    that none matches is not trained at all. dtype: of the matrix products that an optimizer may need."""
    members: dict[Group, list[nn.Parameter]] = {group: [] for group in recipe.groups}
    for name, parameter in model.named_parameters():
        group = next((g for g in recipe.groups if fnmatchcase(name, g.pattern)), None)
        parameter.requires_grad_(group is not None)
        if group is not None:
            members[group].append(parameter)
    return [
        OPTIMIZERS[group.optimizer](
            parameters,
            lr=group.learning_rate,
            weight_decay=group.weight_decay,
            momentum=group.momentum,
            dtype=dtype,
        )
        for group, parameters in members.items()
        if parameters
    ]


class Schedule:
    """Steps the optimizers, and moves their learning rates: after every step along a decay, or after validations
    that showed nothing new ("plateau").

    done: steps that were taken. end: how many there are to be; it can be moved, and the decay is then stretched or
    shortened from there on.
    """

    def __init__(self, optimizers: Sequence[Optimizer], recipe: Recipe, steps: int):
        self.optimizers, self.recipe = optimizers, recipe
        self.done, self.end = 0, steps
        self.planned = steps
        self._moved_at, self._place_then = 0, 0.0
        self.each_step: list[LambdaLR] = []
        self.each_validation: list[ReduceLROnPlateau] = []
        if recipe.schedule == "plateau":
            self.each_validation = [ReduceLROnPlateau(o, factor=0.2, patience=PLATEAU_PATIENCE) for o in optimizers]
        else:
            self.each_step = [LambdaLR(o, self._factor) for o in optimizers]

    def step(self) -> None:
        """Change the weights by the gradients of a batch, and forget these."""
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.done += 1
        for scheduler in self.each_step:
            scheduler.step()

    def after_validation(self, val_loss: float) -> None:
        """Say what came of it on val."""
        for scheduler in self.each_validation:
            scheduler.step(val_loss)

    def end_at(self, steps: int) -> None:
        """Let there be so many steps in all, and one more than were taken at least."""
        self._moved_at, self._place_then = self.done, self._place(self.done)
        self.end = max(steps, self.done + 1)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as JSON can hold it; what the optimizers remember is their own."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, int | float)}
        return own | {"schedulers": [each.state_dict() for each in (*self.each_step, *self.each_validation)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where another of the same recipe stood."""
        vars(self).update({name: value for name, value in state.items() if name != "schedulers"})
        for each, kept in zip((*self.each_step, *self.each_validation), state["schedulers"], strict=True):
            each.load_state_dict(dict(kept))

    def _factor(self, step: int) -> float:
        return rate_factor(self.recipe, self._place(step), self.planned)

    def _place(self, step: int) -> float:
        """Where in the schedule, as it was planned, a step lies."""
        left = self.planned - self._place_then
        return self._place_then + (step - self._moved_at) * left / (self.end - self._moved_at)


def rate_factor(recipe: Recipe, step: float, steps: int) -> float:
    """What every learning rate is multiplied by for step number `step`, from 0, of so many planned."""
    rising = recipe.warmup * steps
    if step < rising:
        return min(1.0, (step + 1) / rising)  # never 0: the first step counts too
    return DECAYS[recipe.schedule]((min(step, steps) - rising) / (steps - rising))
