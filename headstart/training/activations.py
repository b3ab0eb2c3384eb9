"""What a frozen part gives for each image: computed once a view, kept on disk by the content of the image."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from importlib import metadata
from statistics import median
from typing import Any

import numpy as np
import torch

from headstart import __version__
from headstart.data.dataset import Subset
from headstart.errors import HeadstartError
from headstart.models.network import Readout, Taps
from headstart.runtime.cache import kept_or_not
from headstart.runtime.console import bar, note
from headstart.runtime.device import hardware
from headstart.runtime.rows import MISSING, Fill, RowTable
from headstart.training.batches import VIEWS, Samples, mapped
from headstart.training.engines import (
    EAGER_BATCH,
    EXACT,
    PROBE_IMAGES,
    PROBE_REPEATS,
    Engine,
    among,
    choose,
    engines,
    image_seconds,
    noise,
)

VERSION = 1  # raise it when the same image would give other activations
CHUNK_BYTES = 2**26  # of images that are turned to a view at a time
HALF_MAX = float(np.finfo(np.float16).max)


class FrozenPass:
    """Runs a frozen chain over images once a view and keeps what it gives after each of several lengths (`cuts`).

    Strategies that freeze different shares of one backbone are cuts of one pass: the shorter ones cost nothing more.
    """

    def __init__(
        self,
        chain: Readout,
        cuts: Sequence[int],
        image_shape: tuple[int, int, int],
        device: torch.device,
        exact: bool = False,
    ) -> None:
        """exact: in float32 throughout, as networks are used, also what is kept: for images that are scored."""
        self.chain, self.cuts, self.image_shape, self.device = chain, sorted(set(cuts)), image_shape, device
        self.exact = exact
        self._fingerprints: dict[int, str] = {}

    @cached_property
    def choice(self) -> dict[str, Any]:
        """The engine to use, by name, and the measured seconds behind it. It does not depend on the cuts."""
        key = hashlib.sha256(f"{self.fingerprint(len(self.chain))} {self.image_shape}".encode()).hexdigest()[:12]
        found = choose(Taps(self.chain, [len(self.chain)]), self.image_shape, self.device, key)
        return among(found["measured"], EXACT) if self.exact else found

    @cached_property
    def engine(self) -> Engine:
        """The chosen engine, made when it is first needed: where all is cached, never."""
        return engines(Taps(self.chain, self.cuts), self.image_shape, self.device)[self.choice["engine"]]()

    def pace(self) -> float:
        """Seconds an image takes now, whatever else the machine does."""
        images = noise(PROBE_IMAGES, self.image_shape)
        return median(image_seconds(self.engine, images) for _ in range(PROBE_REPEATS))

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

    @cached_property
    def shapes(self) -> dict[int, tuple[int, ...]]:
        """Cut -> the shape of what it gives for one image."""
        blank = torch.zeros(1, *self.image_shape, dtype=torch.uint8).permute(0, 3, 1, 2)
        with torch.inference_mode():
            outputs = self.chain.tapped(blank, self.cuts)
        return {cut: tuple(output.shape[1:]) for cut, output in zip(self.cuts, outputs, strict=True)}

    @kept_or_not
    def missing(self, part: Subset, views: Iterable[str], cut: int) -> int:
        """How many of these images, each in every view, are still to be computed."""
        table = self._table(part.dataset.collection, cut)
        known = (table.known([f"{digest} {view}" for digest in part.digests]) for view in views)
        return sum(int(np.count_nonzero(~each)) for each in known)

    @kept_or_not
    def samples(self, part: Subset, views: tuple[str, ...], cut: int) -> tuple[Samples, float]:
        """Images as the part after `cut` sees them, and the seconds that computing this took, now or some time ago."""
        keys = {view: [f"{digest} {view}" for digest in part.digests] for view in views}
        table = self._table(part.dataset.collection, cut)
        for view in views:
            if not table.known(keys[view]).all():
                self._run(part, view)
        rows = np.stack([table.find(keys[view]) for view in views])
        samples = Samples(mapped(table.values()), torch.from_numpy(rows), torch.from_numpy(part.labels), views)
        return samples, sum(table.seconds(keys[view]) for view in views)

    def _table(self, collection: str, cut: int) -> RowTable:
        made_by = {
            "headstart": __version__,
            "version": VERSION,
            "timm": metadata.version("timm"),
            "chain": self.fingerprint(cut),
            "pass": [self.fingerprint(each) for each in self.cuts],  # an engine that gives more fuses less: other bits
            "image_shape": self.image_shape,
            "engine": self.choice["engine"],
            "hardware": hardware(self.device),
        }
        dtype = np.float32 if self.exact else np.float16
        return RowTable("activations", collection, made_by, self.shapes[cut], dtype)

    def _run(self, part: Subset, view: str) -> None:
        """Compute what is missing of one view, at every cut; of what train is given, for val too: by another split it
        may be train."""
        split = part.dataset.splits[0]
        if np.array_equal(part.rows, split.train):
            part = Subset(part.dataset, np.concatenate([split.train, split.val]))
        keys = [f"{digest} {view}" for digest in part.digests]
        tables = [self._table(part.dataset.collection, cut) for cut in self.cuts]
        with ExitStack() as stack:
            in_one_order = sorted(range(len(tables)), key=lambda i: tables[i].folder)  # no two processes wait in a ring
            fills = {i: stack.enter_context(tables[i].filling(keys)) for i in in_one_order}
            self._fill([fills[i] for i in range(len(tables))], part, view)

    def _fill(self, fills: Sequence[Fill], part: Subset, view: str) -> None:
        """Write what every cut gives for the images that it lacks: a fill each; they count chunk by chunk."""
        wanted = np.unique(np.concatenate([fill.wanted for fill in fills]))
        note(f"frozen pass, {view} view: {len(wanted):,} of {len(part):,} images are new")
        places = np.full((len(fills), len(part)), MISSING)  # of each image in each fill
        for place, fill in zip(places, fills, strict=True):
            place[fill.wanted] = np.arange(len(fill.wanted))
        with bar(f"frozen pass, {view} view, {self.choice['engine']}", len(wanted)) as advance:
            for chosen in self._chunks(wanted):
                largest = 0.0

                def write(start: int, outputs: Sequence[np.ndarray], chosen: np.ndarray = chosen) -> None:
                    nonlocal largest
                    for place, fill, output in zip(places, fills, outputs, strict=True):
                        largest = float(np.maximum(largest, np.abs(output).max()))  # unlike max(), keeps a NaN
                        some = place[chosen[start : start + len(output)]]
                        fill.values[fill.rows[some[some != MISSING]]] = output[some != MISSING].clip(
                            -HALF_MAX, HALF_MAX
                        )
                    advance(len(outputs[0]))

                self.engine(viewed(part.images[chosen], view), write)
                if not largest <= HALF_MAX:  # not "greater": NaN must not pass; also where it is kept in 32 bits
                    raise HeadstartError(f"the frozen part gives values up to {largest:.3g}, too large for 16 bits")
                for place, fill in zip(places, fills, strict=True):
                    fill.keep([each for each in place[chosen].tolist() if each != MISSING])

    def _chunks(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        step = EAGER_BATCH * max(1, CHUNK_BYTES // (EAGER_BATCH * math.prod(self.image_shape)))
        return (wanted[start : start + step] for start in range(0, len(wanted), step))


def viewed(images: np.ndarray, view: str) -> np.ndarray:
    """Images (N, H, W, C) under a view."""
    return VIEWS[view](torch.tensor(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
