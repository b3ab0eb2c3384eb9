"""Where a classifier looks: heat maps over images, by Grad-CAM (an extra: headstart[explain])."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier

BATCH = 16  # images: what each layer gave of them is held until the gradients are back


@torch.inference_mode(False)
@torch.enable_grad()
def heatmaps(classifier: Classifier, images: np.ndarray, classes: np.ndarray | Sequence[int]) -> np.ndarray:
    """How much each place of an image speaks for a class: (N, H, W) float32 from 0 to 1, each image by its own scale.

    images: (N, S, S, 3) uint8, as `Classifier.square` gives them.
    classes: (N,) indices into `class_names`, for each image the class that is asked about.
    The last maps of the network before they are pooled, weighted by how the class's logit grows with them: Selvaraju et
    al. 2017, "Grad-CAM" (arXiv 1610.02391). A network sees no finer than these maps are: 2 to 12 pixels a side. Where
    the head is also given means of earlier stages (`frozen`), what it finds there is not shown. Raises HeadstartError
    where the package is missing or the network has no maps.
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
    method = GradCAM(network, [_last_maps(network, pixels[:1])])
    starts = range(0, len(pixels), BATCH)
    return np.concatenate([method(pixels[at : at + BATCH], asked[at : at + BATCH]) for at in starts])


def _last_maps(network: nn.Module, image: Tensor) -> nn.Module:
    """The part of a network whose output is its last (1, C, H, W) of more than one pixel."""
    seen: list[tuple[nn.Module, torch.Size]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and math.prod(output.shape[2:]) > 1:
            seen.append((module, output.shape))

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    module, shape = seen[-1]
    if len(shape) != 4 or shape[2] != shape[3]:
        raise HeadstartError("heat maps need a network of convolutions: this one ends in no maps, but in tokens")
    return module
