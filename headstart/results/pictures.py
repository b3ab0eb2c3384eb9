"""The small pictures that a comparison keeps, so that its report can be made again without the data."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from headstart.results.files import read_arrays, write_bytes
from headstart.results.runs import EXAMPLES, ONE_BESIDE_RUNS


@dataclass(frozen=True)
class Pictures:
    """What a report shows of the data itself, kept so that it can be made again without the data.

    tests: index in test -> a small JPEG. samples: (label, small JPEG) of training images. suspects: a small JPEG for
    each of the comparison's label suspects. counts: (3, C) images of each class in train, val and test. heats:
    (candidate, index in test, class) -> a small JPEG of that image, with the places that spoke for that class warm.
    """

    tests: Mapping[int, bytes]
    samples: Sequence[tuple[int, bytes]]
    suspects: Sequence[bytes]
    counts: np.ndarray
    heats: Mapping[tuple[str, int, int], bytes]


def write_pictures(comparison: Path, pictures: Pictures) -> None:
    """Keep small pictures in the comparison's folder, the bytes of one after those of another."""
    samples = [jpeg for _, jpeg in pictures.samples]
    files = [*pictures.tests.values(), *samples, *pictures.suspects, *pictures.heats.values()]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        tests=np.array(list(pictures.tests), np.int64),
        sample_labels=np.array([label for label, _ in pictures.samples], np.int64),
        counts=pictures.counts,
        heat_strategies=np.array([strategy for strategy, _, _ in pictures.heats], np.str_),
        heat_places=np.array([place for _, *place in pictures.heats], np.int64).reshape(-1, 2),
        ends=np.cumsum([len(file) for file in files], dtype=np.int64),
        jpegs=np.frombuffer(b"".join(files), np.uint8),
    )
    write_bytes(comparison / EXAMPLES, buffer.getvalue())


def read_pictures(comparison: Path) -> Pictures | None:
    """The small pictures of a comparison; None where it has none. HeadstartError where the file is damaged."""
    path = comparison / EXAMPLES
    if not path.exists():
        return None
    saved = read_arrays(path, ONE_BESIDE_RUNS)
    tests, labels, counts, ends = (saved[name] for name in ("tests", "sample_labels", "counts", "ends"))
    content = saved["jpegs"].tobytes()
    heats: list[tuple[str, int, int]] = []
    if "heat_places" in saved:  # those of an older headstart lack them
        names, places = saved["heat_strategies"].tolist(), saved["heat_places"].tolist()
        heats = [(name, image, taken) for name, (image, taken) in zip(names, places, strict=True)]
    files = [content[start:end] for start, end in pairwise([0, *ends.tolist()])]
    first_heat = len(files) - len(heats)
    return Pictures(
        tests=dict(zip(tests.tolist(), files, strict=False)),
        samples=list(zip(labels.tolist(), files[len(tests) :], strict=False)),
        suspects=files[len(tests) + len(labels) : first_heat],
        counts=counts,
        heats=dict(zip(heats, files[first_heat:], strict=False)),
    )
