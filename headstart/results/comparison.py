"""What the runs of one folder say together: the table, and which candidate to take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.evaluation.label_noise import label_suspects
from headstart.evaluation.scores import SCORES, mean_logits, with_interval
from headstart.evaluation.statistics import accuracy_interval, macro_intervals
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.files import json_text, read_json, write_json, write_table
from headstart.results.request import read_request
from headstart.results.scores import evaluated
from headstart.results.verdict import FIT, LATENCY, SIZE, Verdict, decide

if TYPE_CHECKING:
    from headstart import Classifier

KEYS = ("candidate", "strategy", "split", "seed")  # what a row is called by; its scores follow
FORGETTING = ("agreement", "divergence", "weight_distance", "cka")
MOST_SUSPECTS = 48


@dataclass(frozen=True)
class Comparison:
    """Several candidates on one data set, measured alike.

    dataset: name, fingerprint, source, class_names and the sizes of train, val and test. backbone: name, weights and
    why, or None when no candidate needed one. runs: the finished runs; rows: a dict a run, in the same order, with KEYS
    and the keys of `SCORES`, None where a run lacks that score. planned: how many runs there are to be. summary:
    candidate -> score -> mean, std over seeds, low and high of its 95 % interval. leaked: how many test images have
    duplicates in train or val. without_leaks: candidate -> its scores on the others, means over its seeds.
    label_suspects: images of val and test whose label the most accurate candidate disbelieves: dicts of split, row,
    file, label, suggested and confidence (of what is suggested). forgetting: candidate -> what retraining did to its
    pre-trained network, see `forgetting_of`, means over seeds; only candidates whose runs have it.
    """

    folder: Path
    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    runs: list[runs.Run]
    rows: list[dict[str, Any]]
    summary: Mapping[str, Mapping[str, Mapping[str, float]]]
    verdict: Verdict
    planned: int
    leaked: int = 0
    without_leaks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    label_suspects: Sequence[Mapping[str, Any]] = ()
    forgetting: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def recommended(self) -> str:
        """The candidate to take."""
        return self.verdict.take

    @property
    def because(self) -> str:
        """Why, and what the pre-trained network is worth, in a few sentences."""
        return " ".join(filter(None, (self.verdict.said, self.verdict.head_start)))

    @property
    def is_complete(self) -> bool:
        """Whether all that was planned is trained."""
        return len(self.runs) >= self.planned

    def table(self) -> pd.DataFrame:
        """One row a candidate, in the order of the report: means over seeds, `accuracy_std` (0 for one seed) and
        `seeds`."""
        rows = pd.DataFrame(self.rows).astype(dict.fromkeys(SCORES, float))  # what was not measured is NaN
        groups = rows.groupby("candidate", sort=False)
        table = groups[list(SCORES)].mean()
        table.insert(1, "accuracy_std", groups["accuracy"].std(ddof=1).fillna(0.0))
        table.insert(2, "seeds", groups.size())
        return table

    def save(self) -> None:
        """Write comparison.json and comparison.csv into the folder."""
        content = {
            "schema": runs.SCHEMA,
            "dataset": self.dataset,
            "backbone": self.backbone,
            "strategies": self.rows,
            "planned": self.planned,
            "recommended": self.recommended,
            "because": self.because,
            "summary": self.summary,
            "verdict": self.verdict.as_json(),
            "leaked_test_images": self.leaked,
            "without_leaks": self.without_leaks,
            "label_suspects": self.label_suspects,
            "forgetting": self.forgetting,
        }
        write_json(self.folder / runs.COMPARISON, content)
        write_table(self.folder / runs.TABLE, pd.DataFrame(self.rows))
        renew_checksums(self.folder, runs.COMPARISON, runs.TABLE)

    @property
    def best(self) -> Classifier:
        """The recommended candidate's classifier, of its first seed, ready to predict."""
        import headstart  # by its public name: results stand below the rooms that need torch

        return headstart.Classifier.load(next(run.folder for run in self.runs if run.candidate == self.recommended))


def compare_runs(folder: Path, prefer: str | None = None) -> Comparison:
    """Read every run below `folder`, score them against each other and recommend one.

    Candidates come in the order in which they were asked for, then those that nobody asked for. prefer: see `decide`;
    by default as in the folder's comparison.json, if there is one. Raises HeadstartError when no run is finished or
    when two were tested on different data.
    """
    found = runs.find_runs(folder)
    if not found:
        raise HeadstartError(f"{folder} holds no finished run: nothing to compare")
    before = runs.checked(read_json(folder / runs.COMPARISON), folder) if (folder / runs.COMPARISON).exists() else {}
    request = read_request(folder)
    prefer = prefer or before.get("verdict", {}).get("prefer", "accuracy")
    found = _in_order(found, before, request)
    configs = [run.config for run in found]
    for run, config in zip(found, configs, strict=True):
        if config["dataset"] != configs[0]["dataset"]:
            raise HeadstartError(
                f"{run.folder} and {found[0].folder} were not tested on the same data: compare them apart"
            )
    backbones = [config["backbone"] for config in configs]
    rows = [_row(run) for run in found]
    correct = _correct_by_candidate(found)
    costs = {
        name: {
            key: float(np.mean([row[key] for row in rows if row["candidate"] == name])) for key in (FIT, LATENCY, SIZE)
        }
        for name in correct
    }
    pretrained = {run.candidate for run in found if run.config["backbone"]}
    audit = read_json(folder / runs.AUDIT) if (folder / runs.AUDIT).exists() else {}
    leaked = np.array(audit.get("leaked_test_images", []), dtype=int)
    most_accurate = max(correct, key=lambda name: correct[name].mean())
    return Comparison(
        folder=folder,
        dataset=configs[0]["dataset"],
        backbone=next(({key: each[key] for key in ("name", "weights", "why")} for each in backbones if each), None),
        runs=found,
        rows=rows,
        summary=_summary(found, rows, correct),
        verdict=decide(correct, costs, pretrained, prefer),
        planned=_planned(rows, request),
        leaked=len(leaked),
        without_leaks=_without(leaked, found),
        label_suspects=_suspects([run for run in found if run.candidate == most_accurate], audit.get("files", {})),
        forgetting=_forgetting(found),
    )


def _in_order(
    found: Sequence[runs.Run], before: Mapping[str, Any], request: Mapping[str, Any] | None
) -> list[runs.Run]:
    """By candidate in the order of the request; without one, in that of the table before."""
    if request:
        names = [trial["candidate"] for trial in request["trials"]]
    else:
        names = [row.get("candidate", row["strategy"]) for row in before.get("strategies", [])]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return sorted(found, key=lambda run: places.get(run.candidate, len(places)))


def _planned(rows: Sequence[Mapping[str, Any]], request: Mapping[str, Any] | None) -> int:
    """How many runs there are to be: those of the request, and what is there beside them."""
    trials = [*rows, *(request["trials"] if request else ())]
    return len({(each["candidate"], each["split"], each["seed"]) for each in trials})


def _row(run: runs.Run) -> dict[str, Any]:
    """What a table says of a run. A score that the run's headstart did not know yet is computed from its predictions,
    to as many figures as metrics.json has; one that was to be measured is missing."""
    metrics = run.metrics
    known = all(key in metrics for key, score in SCORES.items() if score.formula)
    later = {} if known else json.loads(json_text(evaluated(run)))
    named = {key: getattr(run, key) for key in KEYS}
    return named | {key: metrics.get(key, later.get(key)) for key in SCORES}


def forgetting_of(run: runs.Run) -> dict[str, float | None] | None:
    """What retraining did to a run's pre-trained network: agreement and divergence (nats) of its old head, the relative
    weight_distance, and the cka of its final features; None in place of what was no number, or of it all where nothing
    was pre-trained, or the run is older than that measurement."""
    found = run.metrics.get("forgetting")
    if not found:
        return None
    return {key: found.get(key) for key in FORGETTING} | {"cka": found.get("cka", {}).get("features")}


def _forgetting(found: Sequence[runs.Run]) -> dict[str, dict[str, float | None]]:
    """Candidate -> `forgetting_of` its runs, means over the seeds that have it."""
    seeds: dict[str, list[dict[str, float | None]]] = {}
    for run in found:
        if (forgotten := forgetting_of(run)) is not None:
            seeds.setdefault(run.candidate, []).append(forgotten)
    return {name: {key: _known_mean([row[key] for row in rows]) for key in FORGETTING} for name, rows in seeds.items()}


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _without(leaked: np.ndarray, found: Sequence[runs.Run]) -> dict[str, dict[str, float]]:
    """Candidate -> its scores on the test images that are not `leaked`, means over its seeds; nothing where none is
    leaked, or all are."""
    if not len(leaked) or len(leaked) >= len(found[0].predictions()[1]):
        return {}
    kept = np.delete(np.arange(len(found[0].predictions()[1])), leaked)
    scores: dict[str, list[dict[str, Any]]] = {}
    for run in found:
        scores.setdefault(run.candidate, []).append(evaluated(run, kept))
    return {
        name: {score.key: float(np.mean([each[score.key] for each in seeds])) for score in with_interval()}
        for name, seeds in scores.items()
    }


def _suspects(seeds: Sequence[runs.Run], files: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Rows of `label_suspects`, the likeliest MOST_SUSPECTS, by the mean probabilities of a candidate's seeds."""
    parts = {split: [run.predictions(split) for run in seeds] for split in ("val", "test")}
    labels = np.concatenate([predictions[0][1] for predictions in parts.values()])
    names = parts["test"][0][2]
    logits = np.concatenate([mean_logits([each[0] for each in predictions]) for predictions in parts.values()])
    places = [(split, row) for split, predictions in parts.items() for row in range(len(predictions[0][1]))]
    return [
        {
            "split": split,
            "row": row,
            "file": files[split][row] if split in files else None,
            "label": names[labels[index]],
            "suggested": names[int(logits[index].argmax())],
            "confidence": float(np.exp(logits[index].max())),
        }
        for index in label_suspects(logits, labels)[:MOST_SUSPECTS].tolist()
        for split, row in [places[index]]
    ]


def _summary(
    found: Sequence[runs.Run], rows: Sequence[Mapping[str, Any]], correct: Mapping[str, np.ndarray]
) -> dict[str, dict[str, dict[str, float]]]:
    """Candidate -> score -> mean over seeds, their standard deviation (0 for one), and a 95 % interval over images.

    The interval of a share of images is Wilson's, at the mean; that of a macro score is bootstrapped, means over seeds.
    """
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name, hits in correct.items():
        matrices = [np.array(run.metrics["confusion_matrix"]) for run in found if run.candidate == name]
        macro = [macro_intervals(matrix) for matrix in matrices]
        summary[name] = {}
        for score in with_interval():
            values = [row[score.key] for row in rows if row["candidate"] == name]
            if score.interval == "wilson":  # of accuracy the mean with all its figures
                share = hits.mean() if score.key == "accuracy" else np.mean(values)
                bounds = [accuracy_interval(round(share * hits.shape[1]), hits.shape[1])]
            else:
                bounds = [each[score.key] for each in macro]
            summary[name][score.key] = {
                "mean": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
                "low": float(np.mean([each.low for each in bounds])),
                "high": float(np.mean([each.high for each in bounds])),
            }
    return summary


def _correct_by_candidate(found: Sequence[runs.Run]) -> dict[str, np.ndarray]:
    """Candidate -> (S, N), whether each of its seeds classified each test image rightly."""
    correct: dict[str, list[np.ndarray]] = {}
    labels_of_all = None
    for run in found:
        logits, labels, _ = run.predictions()
        if labels_of_all is not None and not np.array_equal(labels, labels_of_all):
            raise HeadstartError(f"{run.folder} was tested on other labels than the runs beside it")
        labels_of_all = labels
        correct.setdefault(run.candidate, []).append(logits.argmax(axis=1) == labels)
    return {name: np.stack(hits) for name, hits in correct.items()}
