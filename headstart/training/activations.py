"""What a frozen part gives for each image: computed once a view, kept on disk under a key of all that made it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.cache import cache_dir, make_room, temporary_folder
from headstart.data.dataset import Split
from headstart.errors import HeadstartError
from headstart.progress import bar
from headstart.training.batches import VIEWS, Samples
from headstart.training.engines import Engine, Taps, choose, engines

CACHE_BYTES = 20e9  # what the activations of all data sets and backbones may take on disk together
VALUES = "activations.npy"
META = "meta.json"
CHUNK = 5000  # images turned to a view at a time
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Activations:
    """values: (N, ...) float16, memory-mapped. seconds: what the pass that made them took, whenever that was."""

    values: np.ndarray
    seconds: float


class FrozenPass:
    """Runs a frozen chain over images once a view and keeps what it gives after each of several lengths (`cuts`).

    Strategies that freeze different shares of one backbone are cuts of one pass: the shorter ones cost nothing more.
    count: about how many images are to come, which the choice of an engine depends on.
    """

    def __init__(
        self,
        chain: nn.Sequential,
        cuts: Sequence[int],
        image_shape: tuple[int, int, int],
        count: int,
        device: torch.device,
    ):
        self.chain, self.cuts, self.image_shape = chain, sorted(set(cuts)), image_shape
        self.count, self.device = count, device

    @cached_property
    def taps(self) -> Taps:
        """The chain, giving its output at every cut."""
        return Taps(self.chain, self.cuts)

    @cached_property
    def choice(self) -> dict[str, Any]:
        """The engine to use, by name, and the measured seconds behind it."""
        key = hashlib.sha256(f"{self.fingerprint(self.cuts[-1])} {self.cuts} {self.image_shape}".encode()).hexdigest()[
            :12
        ]
        return choose(self.taps, self.image_shape, self.count, self.device, f"{self.device.type}-{key}")

    @cached_property
    def engine(self) -> Engine:
        """The chosen engine, made when it is first needed: where all is cached, never."""
        return engines(self.taps, self.image_shape, self.device)[self.choice["engine"]]()

    @cache  # noqa: B019 - lives as long as one comparison
    def fingerprint(self, cut: int) -> str:
        """SHA-256 of the chain's first `cut` pieces: their structure (preprocessing and image size too) and weights."""
        part = self.chain[:cut]
        digest = hashlib.sha256(repr(part).encode())
        for name, value in part.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def samples(self, split: Split, views: tuple[str, ...], cut: int) -> tuple[Samples, float]:
        """The split as the part after `cut` sees it, and the seconds that making it took, now or when it was cached."""
        found = [self._activations(split, view, cut) for view in views]
        values = tuple(torch.from_numpy(each.values) for each in found)
        return Samples(values, torch.from_numpy(split.labels), views), sum(each.seconds for each in found)

    def _activations(self, split: Split, view: str, cut: int) -> Activations:
        place = self._place(split, view, cut)
        if not place.exists():
            self._run(split, view)
        (place / META).touch()  # in use: among the last to be cleared away
        values = np.load(place / VALUES, mmap_mode="c")  # copy on write: no one changes what is kept
        return Activations(values, json.loads((place / META).read_text(encoding="utf-8"))["seconds"])

    def _place(self, split: Split, view: str, cut: int) -> Path:
        key = [self.fingerprint(cut), view, split.fingerprint, self.choice["engine"], "float16"]
        return cache_dir() / "activations" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]

    def _run(self, split: Split, view: str) -> None:
        """Fill the cache for one split and view, at every cut; each gets there whole or not at all."""
        with torch.inference_mode():
            tapped = self.taps.cpu()(torch.zeros(1, self.image_shape[2], *self.image_shape[:2], dtype=torch.uint8))
        shapes = [(len(split), *output.shape[1:]) for output in tapped]
        places = [self._place(split, view, cut) for cut in self.cuts]
        make_room(places[0].parent, CACHE_BYTES, sum(2 * math.prod(shape) for shape in shapes))
        with ExitStack() as stack:
            folders = [stack.enter_context(temporary_folder(place)) for place in places]
            values = [
                np.lib.format.open_memmap(folder / VALUES, "w+", dtype=np.float16, shape=shape)
                for folder, shape in zip(folders, shapes, strict=True)
            ]
            started = time.perf_counter()
            self._fill(values, split.images, view)
            seconds = time.perf_counter() - started
            for folder, place, kept in zip(folders, places, values, strict=True):
                kept.flush()
                (folder / META).write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
                if not place.exists():
                    folder.rename(place)

    def _fill(self, values: Sequence[np.ndarray], images: np.ndarray, view: str) -> None:
        """Write what every cut gives for images (N, H, W, C) uint8 under one view into arrays (N, ...) float16."""
        largest = 0.0
        with bar(f"frozen pass, {view} view, {self.choice['engine']}", len(images)) as advance:
            for chunk in range(0, len(images), CHUNK):

                def write(start: int, outputs: Sequence[np.ndarray], chunk: int = chunk) -> None:
                    nonlocal largest
                    for kept, output in zip(values, outputs, strict=True):
                        largest = max(largest, float(np.abs(output).max()))
                        kept[chunk + start : chunk + start + len(output)] = output.clip(-HALF_MAX, HALF_MAX)
                    advance(len(outputs[0]))

                self.engine(viewed(images[chunk : chunk + CHUNK], view), write)
        if not largest <= HALF_MAX:  # not "greater": NaN must not pass
            raise HeadstartError(f"the frozen part gives values up to {largest:.3g}, too large for a 16-bit cache")


def viewed(images: np.ndarray, view: str) -> np.ndarray:
    """Images (N, H, W, C) under a view."""
    return VIEWS[view](torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
