"""A trained network with what is needed to use it: how images are fitted, temperature and class names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from headstart.data.pixels import Picture, as_seen, image_of, pictures_in
from headstart.data.ranges import OF_TYPES, Whites
from headstart.data.store import LARGEST
from headstart.errors import HeadstartError
from headstart.models.build import from_spec
from headstart.models.network import Network
from headstart.models.preprocessing import Preprocessing
from headstart.options import Options
from headstart.results import runs
from headstart.results.comparison import chosen_run
from headstart.results.files import reading, write_bytes
from headstart.runtime.text import shown
from headstart.values import given, path

BATCH_PIXELS = 2**21  # of a batch: the first maps of a backbone take about 60 bytes for each
UNKNOWN_SQUARE = "this run does not say into which square photos were fitted (schema 1): train it again"


class Classifier:
    """Classifies images as a user has them, by the very path from file to pixels on which the network was trained.

    sides: the squares that an image is fitted into before the network is given it, one after the other; empty for runs
    of schema 1, which do not say: then one of the image's own long side, LARGEST at most. fit: how, see
    `decode.fitted`. whites: what was white in training where the type of pixels does not say, see `image_of`.
    temperature: what logits are divided by, so that the probabilities are as often right as they say.
    """

    def __init__(
        self,
        network: Network,
        class_names: Sequence[str],
        sides: Sequence[int] = (),
        temperature: float = 1.0,
        fit: str = Options().fit,
        whites: Whites = OF_TYPES,
    ):
        self.network = network.eval()
        self.class_names = tuple(class_names)
        self.sides = tuple(sides)
        self.temperature = temperature
        self.fit = fit
        self.whites = OF_TYPES | dict(whites)

    def predict(self, images: Picture | Iterable[Picture]) -> np.ndarray:
        """Class names (N,) of images: files, Pillow images or arrays (`image_of` says which), one or many, of any
        sizes; (N, H, W, 3) counts as N of them. They are read one by one, so that few are in memory at once."""
        return np.array(self.class_names)[self.predict_proba(images).argmax(axis=1)]

    def predict_proba(self, images: Picture | Iterable[Picture]) -> np.ndarray:
        """Probabilities (N, C) float32 of images, as `predict` takes them, in the order of `class_names`.

        Raises HeadstartError for what is no image.
        """
        logits = [self.logits(batch) for batch in self.batches(images)]
        if not logits:
            return np.empty((0, len(self.class_names)), np.float32)
        return (torch.cat(logits) / self.temperature).softmax(dim=1).numpy()

    @torch.inference_mode()
    def logits(self, squares: np.ndarray) -> Tensor:
        """Logits (N, C) float32, not yet calibrated, of images (N, S, S, 3) uint8 as the network is given them."""
        device = next(self.network.parameters()).device
        return self.network(torch.from_numpy(squares).permute(0, 3, 1, 2).to(device)).float().cpu()

    def batches(self, images: Picture | Iterable[Picture]) -> Iterator[np.ndarray]:
        """Images as the network is given them, (n, S, S, 3) uint8: as many at a time as BATCH_PIXELS allow of the size
        at which it looks at them."""
        inside = max(
            (each.image_size or 0 for each in self.network.modules() if isinstance(each, Preprocessing)), default=0
        )
        waiting: list[np.ndarray] = []
        for picture in pictures_in(images):
            square = self.square(picture)
            side = max(inside, len(square))
            if waiting and (square.shape != waiting[0].shape or len(waiting) * side**2 >= BATCH_PIXELS):
                yield np.stack(waiting)
                waiting = []
            waiting.append(square)
        if waiting:
            yield np.stack(waiting)

    def square(self, picture: Picture) -> np.ndarray:
        """An image as the network is given it: (S, S, 3) uint8."""
        image = image_of(picture, self.whites)
        return as_seen(image, self.sides or (min(LARGEST, max(image.size)),), self.fit)

    def save(self, file: Path) -> None:
        """Write all weights, and the temperature, to a safetensors file."""
        write_bytes(file, self.weights)

    @property
    def weights(self) -> bytes:
        """All weights, and the temperature, as a safetensors file holds them."""
        tensors = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        return save(tensors | {runs.TEMPERATURE: torch.tensor(self.temperature, dtype=torch.float64)})

    @classmethod
    def load(cls, folder: str | Path) -> Classifier:
        """Read back the classifier of a run's folder (.../<candidate>/<split>-seed<n>), or the one that a comparison
        (runs/cifar10-1) recommends; HeadstartError where there is none."""
        run = chosen_run(given("folder", folder, path))
        if not runs.has_model(run.folder) and not (run.folder / runs.CONFIG).exists():
            raise HeadstartError(f"{shown(run.folder)} is no run's folder: {runs.why_none(run.folder)}")
        with reading(run.model):
            weights = run.model.read_bytes()
        config = run.config
        network = from_spec(config["network"])
        with reading(run.model):  # also where the weights are whole, but those of another network
            return cls.of(network, config, weights)

    @classmethod
    def of(cls, network: Network, config: Mapping[str, Any], weights: bytes) -> Classifier:
        """The classifier of `weights`, and of what a run's config.json says, whose network this is."""
        tensors = load(weights)
        temperature = tensors.pop(runs.TEMPERATURE).item()
        network.load_state_dict(tensors)
        about = config["dataset"]["class_names"], config.get("sides", ()), temperature
        return cls(network, *about, config.get("fit", runs.ONLY_FIT), config.get("whites", {}))
