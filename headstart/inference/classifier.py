"""A trained network with what is needed to use it: preprocessing (in the network), temperature and class names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from headstart.errors import HeadstartError
from headstart.models.build import from_spec
from headstart.models.network import Network
from headstart.results import runs

BATCH = 250
LATENCY_REPEATS = 20
TEMPERATURE = "temperature"  # its name among the saved tensors


class Classifier:
    """Classifies images as they are: uint8, any size, no preprocessing by the caller.

    temperature: what logits are divided by, so that the probabilities are as often right as they say.
    """

    def __init__(self, network: Network, class_names: Sequence[str], temperature: float = 1.0):
        self.network = network.eval()
        self.class_names = tuple(class_names)
        self.temperature = temperature

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class names (N,) of images (N, H, W, 3) uint8; a single image (H, W, 3) counts as one."""
        return np.array(self.class_names)[self.predict_proba(images).argmax(axis=1)]

    @torch.inference_mode()
    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (N, C) float32 of images (N, H, W, 3) uint8, the classes in the order of `class_names`.

        Raises HeadstartError for arrays of another shape or type.
        """
        device = next(self.network.parameters()).device
        batches = as_pixels(images).split(BATCH)
        logits = torch.cat([self.network(batch.to(device)).float().cpu() for batch in batches])
        return (logits / self.temperature).softmax(dim=1).numpy()

    def latency_ms(self, image: np.ndarray) -> float:
        """Milliseconds to classify one image (H, W, 3) uint8, fp32: the median of 20 after a warm-up."""
        seconds = []
        for _ in range(LATENCY_REPEATS + 3):
            started = time.perf_counter()
            self.predict_proba(image)
            seconds.append(time.perf_counter() - started)
        return 1000 * float(np.median(seconds[3:]))

    def save(self, path: Path) -> None:
        """Write all weights, and the temperature, to a safetensors file."""
        tensors = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        save_file(tensors | {TEMPERATURE: torch.tensor(self.temperature, dtype=torch.float64)}, path)

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """Read back the classifier of a run's folder (.../<strategy>/seed<n>); HeadstartError where it has none."""
        run = runs.Run(Path(folder))
        if not run.model.exists():
            raise HeadstartError(
                f"{run.model} is missing: {run.folder} is not a finished run, or its weights were deleted"
            )
        config = run.config
        network = from_spec(config["network"])
        tensors = load_file(run.model)
        temperature = tensors.pop(TEMPERATURE).item()
        network.load_state_dict(tensors)
        return cls(network, config["dataset"]["class_names"], temperature)


def as_pixels(images: np.ndarray) -> torch.Tensor:
    """Images (N, H, W, 3) uint8, or one (H, W, 3), as a network takes them: (N, 3, H, W); HeadstartError for others."""
    images = np.asarray(images)
    images = images[None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise HeadstartError(
            f"predict takes uint8 images of shape (N, H, W, 3), values 0 to 255; got {images.dtype} {images.shape}"
        )
    return torch.tensor(images).permute(0, 3, 1, 2)
