"""Where a classifier looks: heat maps over images, by Grad-CAM (an extra: headstart[explain])."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor, nn

from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier

COLOURS = "inferno"  # its lightness grows all the way: warm is told from cold by any eye, and on grey paper
OPACITY = 0.55  # of the colours, over the image in grey
BATCH = 16  # images: what each layer gave of them is held until the gradients are back


@torch.inference_mode(False)
@torch.enable_grad()
def heatmaps(classifier: Classifier, images: np.ndarray, classes: np.ndarray | Sequence[int]) -> np.ndarray:
    """How much each place of an image speaks for a class: (N, H, W) float32 from 0 to 1, each image by its own scale.

    images: (N, S, S, 3) uint8, as `Classifier.square` gives them.
    classes: (N,) indices into `class_names`, for each image the class that is asked about.
    The last maps of the network before they are pooled, weighted by how the class's logit grows with them: Selvaraju et
    al. 2017, "Grad-CAM" (arXiv 1610.02391). Of a transformer, the tokens of its patches, where the logit last hangs on
    them: what follows may read the class token alone. A network sees no finer than these maps are: 2 to 14 places a
    side. Where the head is also given means of earlier stages (`frozen`), what it finds there is not shown. Raises
    HeadstartError where the package is missing or the network has no maps.
    """
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        raise HeadstartError("heat maps need the package grad-cam: pip install 'headstart[explain]'") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise HeadstartError(f"heat maps take uint8 images (N, S, S, 3); got {images.dtype} {images.shape}")
    network = copy.deepcopy(classifier.network)  # gradients are left in it
    device = next(network.parameters()).device
    pixels = (
        torch.tensor(images).permute(0, 3, 1, 2).float().to(device).requires_grad_()
    )  # else nothing before a frozen part's end would have
    asked = [ClassifierOutputTarget(int(each)) for each in classes]
    if len(asked) != len(pixels):
        raise HeadstartError(f"heat maps of {len(pixels)} images need as many classes, not {len(asked)}")
    layer, prefix = _last_maps(network, pixels[:1])
    method = GradCAM(network, [layer], reshape_transform=partial(as_maps, prefix=prefix))
    starts = range(0, len(pixels), BATCH)
    return np.concatenate([method(pixels[at : at + BATCH], asked[at : at + BATCH]) for at in starts])


def blend(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 in grey below the colours of a heat map (H, W), 0 to 1: (H, W, 3) uint8."""
    grey = image.mean(axis=2, keepdims=True) / 255
    colours = colormaps[COLOURS](heat)[..., :3]
    return np.rint(255 * ((1 - OPACITY) * grey + OPACITY * colours)).astype(np.uint8)


def as_maps(given: Tensor, prefix: int = 0) -> Tensor | None:
    """Maps (N, C, S, S) as they are, of channels last (N, S, S, C), or of tokens (N, prefix + S * S, C), of which the
    first `prefix` stand for no place; None of what is none of these, or has one place."""
    if given.ndim == 3:
        side = math.isqrt(max(0, given.shape[1] - prefix))
        if prefix + side * side != given.shape[1]:
            return None
        given = given[:, prefix:].unflatten(1, (side, side))
    if given.ndim == 4 and given.shape[2] != given.shape[3] and given.shape[1] == given.shape[2]:
        given = given.permute(0, 3, 1, 2)
    return given if given.ndim == 4 and given.shape[2] == given.shape[3] > 1 else None


def _last_maps(network: nn.Module, image: Tensor) -> tuple[nn.Module, int]:
    """The part of a network whose output is its last that can be read as maps and that the logits hang on, and how many
    tokens in it stand for no place."""
    prefix = next((vars(it)["num_prefix_tokens"] for it in network.modules() if "num_prefix_tokens" in vars(it)), 0)
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and len(output) == 1 and as_maps(output, prefix) is not None:
            seen.append((module, output))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    logits = network(image)
    for hook in hooks:
        hook.remove()
    for module, output in reversed(seen):
        slope = torch.autograd.grad(logits.square().sum(), output, retain_graph=True, allow_unused=True)[0]
        if slope is not None and (maps := as_maps(slope, prefix)) is not None and maps.count_nonzero():
            return module, prefix
    raise HeadstartError("heat maps need maps or tokens that the classes hang on, and this network has none")
