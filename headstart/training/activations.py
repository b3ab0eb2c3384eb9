"""What a frozen part gives for each image: computed once a view, kept on disk under a key of all that made it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.data.dataset import Images, Split
from headstart.errors import HeadstartError
from headstart.models.network import Readout, Taps
from headstart.runtime.cache import cache_dir, make_room, temporary_folder
from headstart.runtime.console import bar
from headstart.runtime.device import hardware
from headstart.training.batches import VIEWS, Samples
from headstart.training.engines import EAGER_BATCH, Engine, choose, engines

CACHE_BYTES = 20e9  # what the activations of all data sets and backbones may take on disk together
VALUES = "activations.npy"
META = "meta.json"
CHUNK_BYTES = 2**26  # of images that are turned to a view at a time
HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Activations:
    """values: (N, ...) float16, memory-mapped. seconds: what the pass that made them took, whenever that was."""

    values: np.ndarray
    seconds: float


class FrozenPass:
    """Runs a frozen chain over images once a view and keeps what it gives after each of several lengths (`cuts`).

    Strategies that freeze different shares of one backbone are cuts of one pass: the shorter ones cost nothing more.
    """

    def __init__(
        self, chain: Readout, cuts: Sequence[int], image_shape: tuple[int, int, int], device: torch.device
    ) -> None:
        self.chain, self.cuts, self.image_shape, self.device = chain, sorted(set(cuts)), image_shape, device
        self._fingerprints: dict[int, str] = {}

    @cached_property
    def choice(self) -> dict[str, Any]:
        """The engine to use, by name, and the measured seconds behind it. It does not depend on the cuts."""
        key = hashlib.sha256(f"{self.fingerprint(len(self.chain))} {self.image_shape}".encode()).hexdigest()[:12]
        return choose(Taps(self.chain, [len(self.chain)]), self.image_shape, self.device, key)

    @cached_property
    def engine(self) -> Engine:
        """The chosen engine, made when it is first needed: where all is cached, never."""
        return engines(Taps(self.chain, self.cuts), self.image_shape, self.device)[self.choice["engine"]]()

    def fingerprint(self, cut: int) -> str:
        """SHA-256 of the chain's first `cut` pieces: their structure (preprocessing and image size too) and weights."""
        if cut not in self._fingerprints:
            part, _ = self.chain.split(cut)
            digest = hashlib.sha256(repr(part).encode())
            for name, value in part.state_dict().items():
                digest.update(name.encode())
                digest.update(value.contiguous().numpy().data)
            self._fingerprints[cut] = digest.hexdigest()
        return self._fingerprints[cut]

    def samples(self, split: Split, views: tuple[str, ...], cut: int) -> tuple[Samples, float]:
        """The split as the part after `cut` sees it, and the seconds that making it took, now or when it was cached."""
        found = [self._activations(split, view, cut) for view in views]
        values = tuple(torch.from_numpy(each.values) for each in found)
        return Samples(values, torch.from_numpy(split.labels), views), sum(each.seconds for each in found)

    def _activations(self, split: Split, view: str, cut: int) -> Activations:
        place = self._place(split, view, cut)
        if not place.exists():
            self._run(split, view)
        os.utime(place)  # in use: among the last to be cleared away
        values = np.load(place / VALUES, mmap_mode="c")  # copy on write: no one changes what is kept
        return Activations(values, json.loads((place / META).read_text(encoding="utf-8"))["seconds"])

    def _place(self, split: Split, view: str, cut: int) -> Path:
        made_by = [self.choice["engine"], hardware(self.device)]
        key = [self.fingerprint(cut), view, split.fingerprint, "float16", *made_by]
        return cache_dir() / "activations" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]

    def _run(self, split: Split, view: str) -> None:
        """Fill the cache for one split and view, at every cut; each gets there whole or not at all."""
        started = time.perf_counter()
        shapes: list[tuple[int, ...]] = []
        self.engine(split.images[:1], lambda _, outputs: shapes.extend((len(split), *o.shape[1:]) for o in outputs))
        places = [self._place(split, view, cut) for cut in self.cuts]
        make_room(places[0].parent, CACHE_BYTES, sum(2 * math.prod(shape) for shape in shapes))
        with ExitStack() as stack:
            folders = [stack.enter_context(temporary_folder(place)) for place in places]
            self._fill([folder / VALUES for folder in folders], shapes, split.images, view)
            seconds = time.perf_counter() - started
            for folder, place in zip(folders, places, strict=True):
                (folder / META).write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
                try:
                    folder.rename(place)
                except OSError:
                    if not place.exists():  # else it was there before, or another process has just made the same
                        raise

    def _fill(self, paths: Sequence[Path], shapes: Sequence[tuple[int, ...]], images: Images, view: str) -> None:
        """Write what every cut gives for images (N, H, W, C) uint8 under one view: a file each, (N, ...) float16."""
        files = [
            np.lib.format.open_memmap(path, "w+", dtype=np.float16, shape=shape)
            for path, shape in zip(paths, shapes, strict=True)
        ]
        largest = 0.0
        with bar(f"frozen pass, {view} view, {self.choice['engine']}", len(images)) as advance:
            step = EAGER_BATCH * max(1, CHUNK_BYTES // (EAGER_BATCH * math.prod(images.shape[1:])))
            for chunk in range(0, len(images), step):

                def write(start: int, outputs: Sequence[np.ndarray], chunk: int = chunk) -> None:
                    nonlocal largest
                    for kept, output in zip(files, outputs, strict=True):
                        largest = float(np.maximum(largest, np.abs(output).max()))  # unlike max(), keeps a NaN
                        kept[chunk + start : chunk + start + len(output)] = output.clip(-HALF_MAX, HALF_MAX)
                    advance(len(outputs[0]))

                self.engine(viewed(images[chunk : chunk + step], view), write)
        if not largest <= HALF_MAX:  # not "greater": NaN must not pass
            raise HeadstartError(f"the frozen part gives values up to {largest:.3g}, too large for a 16-bit cache")
        for kept in files:
            kept.flush()


def viewed(images: np.ndarray, view: str) -> np.ndarray:
    """Images (N, H, W, C) under a view."""
    return VIEWS[view](torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
