"""A network of timm as a chain of pieces, each of which is given what the one before it gives: where it can be cut."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headstart.models.network import Readout
from headstart.models.preprocessing import Preprocessing

Pieces = list[tuple[str, nn.Module]]
AFTER_BLOCKS = ("norm", "attn_pool", "fc_norm", "head_drop", "head", "head_dist")  # of a transformer, by timm's names
BEFORE_BLOCKS = ("patch_embed", "pos_drop", "patch_drop", "norm_pre", "rope")


def as_chain(model: nn.Module, config: Mapping[str, Any], image_size: int, by_block: bool = True) -> Readout:
    """Preprocessing, then the model's pieces in order; the model as one piece where it is more than a chain of them.

    Which pieces it has is not looked up by name but tried: the chain must give what the model gives, on noise.
    by_block: a stage is as many pieces as it has blocks, and a transformer is a chain; without it, as networks were cut
    that were saved before.
    """
    preprocessing = Preprocessing(config["mean"], config["std"], image_size, config["interpolation"])
    noise = torch.randn(2, config["input_size"][0], image_size, image_size, generator=torch.Generator().manual_seed(0))
    model.eval()
    pieces = next((found for found in _ways(model, noise, by_block) if _is_same(found, model, noise)), None)
    whole = OrderedDict([("preprocessing", preprocessing), *(pieces or [("backbone", model)])])
    chain = nn.Sequential(whole).requires_grad_(False).eval()
    return Readout(chain, stage_ends(chain, image_size))


def stage_ends(chain: nn.Sequential, image_size: int) -> tuple[int, ...]:
    """After how many pieces each of the later stages ends: those with maps of at most 1/16 of the image's side, told
    apart by their number of channels; the last stage is left out, its features are the chain's output."""
    ends: dict[int, int] = {}
    x = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with torch.inference_mode():
        for place, piece in enumerate(chain, start=1):
            x = piece(x)
            if x.ndim == 4 and x.shape[2] == x.shape[3] <= image_size // 16:
                ends[x.shape[1]] = place
    return tuple(place for channels, place in ends.items() if channels != x.shape[1])


def weighted_layers(piece: nn.Module) -> int:
    """How many of its modules own parameters: convolutions, linear layers and norms."""
    return sum(any(True for _ in module.parameters(recurse=False)) for module in piece.modules())


class Embedding(nn.Module):
    """What a transformer does before its blocks: (N, 3, S, S) -> (N, L, C), the tokens of patches behind those that
    stand for no place (class, registers), with their positions."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = _without(model, ("blocks", *AFTER_BLOCKS))

    def forward(self, images: Tensor) -> Tensor:
        """Embed."""
        return self.model.norm_pre(_placed(self.model, images)[0])


class Rotated(nn.Module):
    """A block that turns its queries and keys by the place of each patch, which is the same for all images of a size:
    Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding" (arXiv 2104.09864)."""

    def __init__(self, block: nn.Module, angles: Tensor):
        super().__init__()
        self.block = block
        self.register_buffer("angles", angles.detach().clone(), persistent=False)  # they follow from the size
        self.angles: Tensor

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        return self.block(tokens, rope=self.angles)


class Pooling(nn.Module):
    """What a transformer does after its blocks: (N, L, C) -> (N, F), as its pre-training had it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = _without(model, ("blocks", *BEFORE_BLOCKS))
        for name in ("cls_token", "reg_token", "dist_token", "pos_embed"):
            if name in self.model._parameters:
                self.model._parameters = {**self.model._parameters, name: None}

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool."""
        return self.model.forward_head(self.model.norm(tokens))


def _ways(model: nn.Module, noise: Tensor, by_block: bool) -> Iterator[Pieces]:
    """Chains that the model may be, the longest first."""
    if by_block:
        yield _unrolled(model, by_block=True)
    yield _unrolled(model, by_block=False)
    if by_block and isinstance(getattr(model, "blocks", None), nn.Module) and hasattr(model, "_pos_embed"):
        yield _of_transformer(model, noise)


def _is_same(pieces: Pieces, model: nn.Module, noise: Tensor) -> bool:
    """Whether the pieces, one after the other, give what the model gives."""
    with torch.inference_mode():
        try:
            chained = nn.Sequential(OrderedDict(pieces))(noise)
        except Exception:  # a piece wants other arguments, or another shape
            return False
        return torch.equal(chained, model(noise))


def _unrolled(model: nn.Module, by_block: bool, prefix: str = "") -> Pieces:
    """The children of `model` in order, plain containers replaced by what they contain, and stages by their blocks. A
    dot cannot be in a name."""
    pieces: Pieces = []
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if type(child) is nn.Sequential:
            pieces += _unrolled(child, by_block, f"{path}_")
        elif by_block and type(getattr(child, "blocks", None)) is nn.Sequential:
            for inner, part in child.named_children():
                blocks = part.named_children() if inner == "blocks" else [("", part)]
                pieces += [(f"{path}_{inner}_{block}".rstrip("_"), it) for block, it in blocks]
        else:
            pieces.append((path, child))
    return pieces


def _of_transformer(model: Any, noise: Tensor) -> Pieces:
    """Embedding, blocks, pooling of a transformer with tokens."""
    with torch.inference_mode(False), torch.no_grad():
        angles = _placed(model, noise)[1]
    blocks: Pieces = [(f"blocks_{name}", block) for name, block in model.blocks.named_children()]
    if angles is not None:
        of_block: Callable[[int], Tensor] = (lambda place: angles[place]) if model.rope_mixed else (lambda _: angles)
        blocks = [(name, Rotated(block, of_block(place))) for place, (name, block) in enumerate(blocks)]
    return [("embed", Embedding(model)), *blocks, ("norm", Pooling(model))]


def _placed(model: Any, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """The tokens of images with their positions, and the angles of rotary ones, where the model has such."""
    placed = model._pos_embed(model.patch_embed(images))
    return placed if isinstance(placed, tuple) else (placed, None)


def _without(model: nn.Module, names: Collection[str]) -> Any:
    """The same model, of the same parameters, less these parts of it."""
    less = copy.copy(model)
    less._modules = {name: part for name, part in model._modules.items() if name not in names}
    return less
