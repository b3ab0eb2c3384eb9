"""Which of several backbones are worth retraining: told by what a head on each, frozen, says of val."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from headstart.evaluation.scores import Score
from headstart.evaluation.statistics import Difference, Tested, all_differences, between
from headstart.results import runs
from headstart.results.scores import predictions_of
from headstart.results.verdict import points


@dataclass(frozen=True)
class Probed:
    """A backbone and how its probe, a frozen candidate, scored on `images` images of val; of several seeds and folds
    each image counts once, by the mean of what their networks said. behind: by how much it is below the last backbone
    that was kept, corrected for the number of pairs; None of those that were kept."""

    backbone: str
    candidate: str
    score: float
    images: int
    behind: Difference | None = None

    @property
    def is_kept(self) -> bool:
        """Whether it was retrained."""
        return self.behind is None

    @property
    def lag(self) -> str:
        """How far it is behind, in words; empty where it was kept."""
        return "" if self.behind is None else points(self.behind)

    def as_json(self) -> dict[str, Any]:
        """As request.json and comparison.json keep it."""
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Probed:
        """From what `as_json` gave."""
        behind = content["behind"]
        return cls(**{**content, "behind": None if behind is None else Difference(**behind)})


def rank(
    found: Sequence[runs.Run],
    backbones: Mapping[str, str],
    val: Mapping[str, np.ndarray],
    units: np.ndarray,
    score: Score,
    keep: int,
) -> list[Probed]:
    """The backbones by the score of their probes on val, best first, of which the first `keep` are kept; test has no
    part in it.

    found: the finished runs. backbones: candidate -> backbone, of the probes. val: split -> rows (n,) of its val in the
    data, in the order of the runs' predictions; not every split needs one. units: (N,) of all images, equal for those
    that count as one.
    """
    tested = {name: _on_val([run for run in found if run.candidate == name], val, units, score) for name in backbones}
    order = sorted(tested, key=lambda name: -tested[name].score)
    pairs = all_differences(tested)
    return [
        Probed(
            backbones[name],
            name,
            tested[name].score,
            len(tested[name].by_image),
            None if place < keep else between(order[keep - 1], name, pairs),
        )
        for place, name in enumerate(order)
    ]


def _on_val(found: Sequence[runs.Run], val: Mapping[str, np.ndarray], units: np.ndarray, score: Score) -> Tested:
    """What the runs of one candidate said of all images that any split has in val, as if one network had."""
    sums, counts, weights = np.zeros(len(units)), np.zeros(len(units)), np.ones(len(units))
    assert score.contributions is not None
    for run in found:
        said, rows = predictions_of(run, part="val"), val[run.split]
        sums[rows] += score.contributions(said)
        counts[rows] += 1
        weights[rows] = score.weights(said.labels)
    (known,) = np.nonzero(counts)
    return replace(Tested.on_one_split(sums[known] / counts[known]), units=units[known], weights=weights[known])
