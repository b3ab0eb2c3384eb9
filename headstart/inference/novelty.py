"""Whether a picture resembles nothing in training: what is kept of training for it, and what that says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.evaluation.novelty import distances, threshold
from headstart.results import runs

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from headstart.data.dataset import Subset
    from headstart.training.preparation import Prepared

REFERENCE_BYTES = 2_000_000  # of the features that a run keeps, in float16


@dataclass(frozen=True)
class Limit:
    """threshold: the distance from the nearest training image beyond which a picture is flagged. known: of how many
    images it was chosen. false_flags: the share of test images that it flags; None where nothing was tested."""

    threshold: float
    known: int
    false_flags: float | None

    def as_json(self) -> dict[str, Any]:
        """As an exported file keeps it."""
        return asdict(self)

    @property
    def said(self) -> str:
        """In a sentence."""
        line = f"Photos farther from the training images than all but 1 % of {self.known:,} known ones are flagged"
        if self.known < 99:
            line = f"Photos farther from the training images than all of {self.known:,} known ones are flagged"
        return line + ("." if self.false_flags is None else f": {100 * self.false_flags:.1f} % of test's are.")


@dataclass(frozen=True)
class Novelty:
    """limit: beyond which a picture is flagged. reference: (M, D) features of training images."""

    limit: Limit
    reference: np.ndarray

    @classmethod
    def of(cls, run: runs.Run) -> Novelty | None:
        """That of a run's classifier; None where the run is older than it, or no image was left over to choose by."""
        kept = run.novelty
        if kept is None or not len(kept["val"]):
            return None
        limit, tested = threshold(kept["val"]), kept["test"]
        flagged = float((tested > limit).mean()) if len(tested) else None
        return cls(Limit(limit, len(kept["val"]), flagged), kept["reference"])

    def flags(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of features (N, D): (N,) bool, whether a picture is flagged, and (N,) float32, how far it is from them."""
        found = distances(features, self.reference)
        return found > self.limit.threshold, found


def reference_of(prepared: Prepared, train: Subset, fabric: Fabric) -> np.ndarray:
    """Features (M, D) float16 of an even choice of training images, of REFERENCE_BYTES at most."""
    import torch  # not for the report, which only reads what is kept

    from headstart.data.dataset import Subset
    from headstart.models.network import features_of, last_linear
    from headstart.training.fit import predict

    most = max(1, REFERENCE_BYTES // (2 * last_linear(prepared.network).in_features))
    rows = np.linspace(0, len(train) - 1, min(len(train), most)).round().astype(int)
    samples, _ = prepared.samples(Subset(train.dataset, train.rows[rows]), ("identity",))
    with features_of(prepared.network) as found:
        predict(prepared.network.trainable, samples, fabric)
    return torch.cat(found).numpy().astype(np.float16)
