"""A trained network with what is needed to use it: preprocessing (in the network) and class names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from headstart import runs
from headstart.errors import HeadstartError
from headstart.models.build import from_spec
from headstart.models.network import Network

BATCH = 250
LATENCY_REPEATS = 20


class Classifier:
    """Classifies images as they are: uint8, any size, no preprocessing by the caller."""

    def __init__(self, network: Network, class_names: Sequence[str]):
        self.network = network.eval()
        self.class_names = tuple(class_names)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Class names (N,) of images (N, H, W, 3) uint8; a single image (H, W, 3) counts as one."""
        return np.array(self.class_names)[self.predict_proba(images).argmax(axis=1)]

    @torch.inference_mode()
    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (N, C) float32 of images (N, H, W, 3) uint8, the classes in the order of `class_names`.

        Raises HeadstartError for arrays of another shape or type.
        """
        images = np.asarray(images)
        images = images[None] if images.ndim == 3 else images
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise HeadstartError(
                f"predict takes uint8 images of shape (N, H, W, 3), values 0 to 255; got {images.dtype} {images.shape}"
            )
        device = next(self.network.parameters()).device
        batches = torch.tensor(images).permute(0, 3, 1, 2).split(BATCH)
        return torch.cat([self.network(batch.to(device)).float().softmax(dim=1).cpu() for batch in batches]).numpy()

    def latency_ms(self, image: np.ndarray) -> float:
        """Milliseconds to classify one image (H, W, 3) uint8, fp32: the median of 20 after a warm-up."""
        seconds = []
        for _ in range(LATENCY_REPEATS + 3):
            started = time.perf_counter()
            self.predict_proba(image)
            seconds.append(time.perf_counter() - started)
        return 1000 * float(np.median(seconds[3:]))

    def save(self, path: Path) -> None:
        """Write all weights to a safetensors file."""
        save_file({name: value.contiguous() for name, value in self.network.state_dict().items()}, path)

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """Read back the classifier of a run's folder (.../<strategy>/seed<n>)."""
        run = runs.Run(Path(folder))
        config = run.config
        network = from_spec(config["network"])
        network.load_state_dict(load_file(run.model))
        return cls(network, config["dataset"]["class_names"])
