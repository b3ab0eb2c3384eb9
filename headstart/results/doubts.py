"""What may be wrong with the data below the scores: leaked test images, copies, and labels that are disbelieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.evaluation.label_noise import label_suspects
from headstart.evaluation.scores import mean_logits, with_interval
from headstart.results import runs
from headstart.results.passes import Pass
from headstart.results.scores import predictions_of

MOST_SUSPECTS = 48


@dataclass(frozen=True)
class Audited:
    """What the audit of a comparison's data says of the N images that are tested.

    leaked: how many have a duplicate in train or val. clean: (n,) the places of the others, of all where that is none.
    units: (N,) equal for those that count as one. files: "val" and "test" -> their paths.
    """

    leaked: int
    clean: np.ndarray
    units: np.ndarray
    files: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, folder: Path, images: int) -> Audited:
        """Read from a comparison's folder; where it has none, nothing is leaked."""
        said: Mapping[str, Any] = runs.read_beside(folder, runs.AUDIT) or {}
        leaked = said.get("leaked_test_images", [])
        units = np.arange(images)
        for places in said.get("copies_within_test", []):
            units[places] = places[0]
        clean = np.setdiff1d(np.arange(images), leaked)
        return cls(len(leaked), clean if len(clean) else np.arange(images), units, said.get("files", {}))


def without_leaks(audit: Audited, passes: Mapping[str, Sequence[Pass]]) -> dict[str, dict[str, float]]:
    """Candidate -> its scores on the test images that are not leaked, means over its passes; nothing where none is
    leaked, or all are."""
    if len(audit.clean) == len(audit.units):
        return {}
    return {
        name: {
            score.key: float(np.mean([formula(each.predictions(audit.clean)) for each in of_candidate]))
            for score in with_interval()
            if (formula := score.formula)
        }
        for name, of_candidate in passes.items()
    }


def suspects(passes: Sequence[Pass], files: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Rows of `label_suspects`, the likeliest MOST_SUSPECTS, by the mean probabilities of a candidate's passes: of what
    it tests and, on one split, of val.

    Dicts of split, row (in val, or among all that is tested), file, label, suggested and confidence.
    """
    whole = [each for each in passes if each.is_whole] or passes[:1]
    first, names = whole[0], whole[0].runs[0].predictions()[2]
    said = {"test": ([each.calibrated[first.tested] for each in whole], first.labels[first.tested], first.tested)}
    if first.is_whole and len(first.runs) == 1:
        of_val = [predictions_of(each.runs[0], part="val") for each in whole]
        said["val"] = (
            [each.logits / each.temperature for each in of_val],
            of_val[0].labels,
            np.arange(len(of_val[0].labels)),
        )
    logits = np.concatenate([mean_logits(each) for each, _, _ in said.values()])
    labels = np.concatenate([each for _, each, _ in said.values()])
    places = [(part, int(row)) for part, (_, _, rows) in said.items() for row in rows]
    return [
        {
            "split": part,
            "row": row,
            "file": files[part][row] if part in files else None,
            "label": names[labels[index]],
            "suggested": names[int(logits[index].argmax())],
            "confidence": float(np.exp(logits[index].max())),
        }
        for index in label_suspects(logits, labels)[:MOST_SUSPECTS].tolist()
        for part, row in [places[index]]
    ]
