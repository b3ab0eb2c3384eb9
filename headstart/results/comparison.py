"""What the runs of one folder say together: the table, and which strategy to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.evaluation.label_noise import label_suspects
from headstart.evaluation.metrics import evaluate, mean_logits
from headstart.evaluation.statistics import accuracy_interval, macro_intervals
from headstart.results import runs
from headstart.results.verdict import FIT, LATENCY, SIZE, Verdict, decide

if TYPE_CHECKING:
    from headstart import Classifier

ROW = (  # the keys of a row of comparison.json: a contract
    "strategy",
    "seed",
    "accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "log_loss",
    "calibration_error",
    "fit_seconds",
    "frozen_seconds",
    "epochs",
    "parameters",
    "trainable_parameters",
    "size_mb",
    "latency_ms",
    "images_per_second",
    "accuracy_tta",
)
SCORES = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
FORGETTING = ("agreement", "divergence", "weight_distance", "cka")
MOST_SUSPECTS = 48


@dataclass(frozen=True)
class Comparison:
    """Several strategies on one data set, measured alike.

    dataset: name, fingerprint, source, class_names and the sizes of train, val and test. backbone: name, weights and
    why, or None when no strategy needed one. strategies: a dict a run, with the keys of `ROW`.
    summary: strategy -> score -> mean, std over seeds, low and high of its 95 % interval. leaked: how many test
    images have duplicates in train or val. without_leaks: strategy -> its scores on the others, means over its seeds.
    label_suspects: images of val and test whose label the most accurate strategy disbelieves: dicts of split, row,
    file, label, suggested and confidence (of what is suggested). forgetting: strategy -> what retraining did to its
    pre-trained network, see `forgetting_of`, means over seeds; only strategies whose runs have it.
    """

    folder: Path
    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    strategies: list[dict[str, Any]]
    summary: Mapping[str, Mapping[str, Mapping[str, float]]]
    verdict: Verdict
    leaked: int = 0
    without_leaks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    label_suspects: Sequence[Mapping[str, Any]] = ()
    forgetting: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    @property
    def recommended(self) -> str:
        """The strategy to take."""
        return self.verdict.take

    @property
    def because(self) -> str:
        """Why, and what the pre-trained network is worth, in a few sentences."""
        return " ".join(filter(None, (self.verdict.said, self.verdict.head_start)))

    @property
    def runs(self) -> list[runs.Run]:
        """The run folders behind the rows, in the same order."""
        return [runs.Run(self.folder / row["strategy"] / f"seed{row['seed']}") for row in self.strategies]

    def table(self) -> pd.DataFrame:
        """One row a strategy, in the order they ran: means over seeds, `accuracy_std` (0 for one seed) and `seeds`."""
        rows = pd.DataFrame(self.strategies)
        groups = rows.groupby("strategy", sort=False)
        table = groups.mean().drop(columns="seed")
        table.insert(1, "accuracy_std", groups["accuracy"].std(ddof=1).fillna(0.0))
        table.insert(2, "seeds", groups.size())
        return table

    def save(self) -> None:
        """Write comparison.json and comparison.csv into the folder."""
        content = {
            "dataset": self.dataset,
            "backbone": self.backbone,
            "strategies": self.strategies,
            "recommended": self.recommended,
            "because": self.because,
            "summary": self.summary,
            "verdict": self.verdict.as_json(),
            "leaked_test_images": self.leaked,
            "without_leaks": self.without_leaks,
            "label_suspects": self.label_suspects,
            "forgetting": self.forgetting,
        }
        runs.write_json(self.folder / runs.COMPARISON, content)
        runs.write_table(self.folder / runs.TABLE, pd.DataFrame(self.strategies))
        runs.renew_checksums(self.folder, runs.COMPARISON, runs.TABLE)

    @property
    def best(self) -> Classifier:
        """The recommended strategy's classifier, of its first seed, ready to predict."""
        import headstart  # by its public name: results stand below the rooms that need torch

        return headstart.Classifier.load(next(run.folder for run in self.runs if run.strategy == self.recommended))


def compare_runs(folder: Path, order: Sequence[str] | None = None, prefer: str | None = None) -> Comparison:
    """Read every run below `folder`, score them against each other and recommend one.

    order: the strategies as the table is to have them; those it lacks come last. prefer: see `decide`. Where they are
    not given, they are as in the folder's comparison.json, if there is one. Raises HeadstartError when no run is
    finished or when two were tested on different data.
    """
    found = runs.find_runs(folder)
    if not found:
        raise HeadstartError(f"{folder} holds no finished run: nothing to compare")
    before = runs.read_json(folder / runs.COMPARISON) if (folder / runs.COMPARISON).exists() else {}
    order = order or [row["strategy"] for row in before.get("strategies", [])]
    prefer = prefer or before.get("verdict", {}).get("prefer", "accuracy")
    places = {name: place for place, name in enumerate(dict.fromkeys(order))}
    found.sort(key=lambda run: places.get(run.strategy, len(places)))
    configs = [run.config for run in found]
    for run, config in zip(found, configs, strict=True):
        if config["dataset"] != configs[0]["dataset"]:
            raise HeadstartError(
                f"{run.folder} and {found[0].folder} were not tested on the same data: compare them apart"
            )
    backbones = [config["backbone"] for config in configs]
    rows = [{key: run.metrics[key] for key in ROW} for run in found]
    correct = _correct_by_strategy(found)
    costs = {
        name: {
            key: float(np.mean([row[key] for row in rows if row["strategy"] == name])) for key in (FIT, LATENCY, SIZE)
        }
        for name in correct
    }
    pretrained = {config["strategy"]["name"] for config in configs if config["backbone"]}
    audit = runs.read_json(folder / runs.AUDIT) if (folder / runs.AUDIT).exists() else {}
    leaked = np.array(audit.get("leaked_test_images", []), dtype=int)
    most_accurate = max(correct, key=lambda name: correct[name].mean())
    return Comparison(
        folder=folder,
        dataset=configs[0]["dataset"],
        backbone=next(({key: each[key] for key in ("name", "weights", "why")} for each in backbones if each), None),
        strategies=rows,
        summary=_summary(found, correct),
        verdict=decide(correct, costs, pretrained, prefer),
        leaked=len(leaked),
        without_leaks=_without(leaked, found) if len(leaked) else {},
        label_suspects=_suspects([run for run in found if run.strategy == most_accurate], audit.get("files", {})),
        forgetting=_forgetting(found),
    )


def forgetting_of(run: runs.Run) -> dict[str, float | None] | None:
    """What retraining did to a run's pre-trained network: agreement and divergence (nats) of its old head, the relative
    weight_distance, and the cka of its final features; None in place of what was no number, or of it all where nothing
    was pre-trained, or the run is older than that measurement."""
    found = run.metrics.get("forgetting")
    if not found:
        return None
    return {key: found.get(key) for key in FORGETTING} | {"cka": found.get("cka", {}).get("features")}


def _forgetting(found: Sequence[runs.Run]) -> dict[str, dict[str, float | None]]:
    """Strategy -> `forgetting_of` its runs, means over the seeds that have it."""
    seeds: dict[str, list[dict[str, float | None]]] = {}
    for run in found:
        if (forgotten := forgetting_of(run)) is not None:
            seeds.setdefault(run.strategy, []).append(forgotten)
    return {name: {key: _known_mean([row[key] for row in rows]) for key in FORGETTING} for name, rows in seeds.items()}


def _known_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _without(leaked: np.ndarray, found: Sequence[runs.Run]) -> dict[str, dict[str, float]]:
    """Strategy -> its scores on the test images that are not `leaked`, means over its seeds."""
    scores: dict[str, list[dict[str, Any]]] = {}
    for run in found:
        logits, labels, names = run.predictions()
        kept = np.delete(np.arange(len(labels)), leaked)
        scores.setdefault(run.strategy, []).append(evaluate(logits[kept], labels[kept], names))
    return {name: _means(seeds, SCORES) for name, seeds in scores.items()}


def _means(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def _suspects(seeds: Sequence[runs.Run], files: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Rows of `label_suspects`, the likeliest MOST_SUSPECTS, by the mean probabilities of a strategy's seeds."""
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


def _summary(found: Sequence[runs.Run], correct: Mapping[str, np.ndarray]) -> dict[str, dict[str, dict[str, float]]]:
    """Strategy -> score -> mean over seeds, their standard deviation (0 for one), and a 95 % interval over test images.

    The interval of accuracy is Wilson's, at the mean; those of macro scores are bootstrapped, means over seeds.
    """
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name, hits in correct.items():
        interval = accuracy_interval(round(hits.mean() * hits.shape[1]), hits.shape[1])
        metrics = [run.metrics for run in found if run.strategy == name]
        macro = [macro_intervals(np.array(each["confusion_matrix"])) for each in metrics]
        bounds = {"accuracy": (interval.low, interval.high)} | {
            key: (float(np.mean([m[key].low for m in macro])), float(np.mean([m[key].high for m in macro])))
            for key in SCORES[1:]
        }
        values = {key: [each[key] for each in metrics] for key in SCORES}
        summary[name] = {
            key: {
                "mean": float(np.mean(values[key])),
                "std": float(np.std(values[key], ddof=1)) if len(metrics) > 1 else 0.0,
                "low": bounds[key][0],
                "high": bounds[key][1],
            }
            for key in SCORES
        }
    return summary


def _correct_by_strategy(found: Sequence[runs.Run]) -> dict[str, np.ndarray]:
    """Strategy -> (S, N), whether each of its seeds classified each test image rightly."""
    correct: dict[str, list[np.ndarray]] = {}
    labels_of_all = None
    for run in found:
        logits, labels, _ = run.predictions()
        if labels_of_all is not None and not np.array_equal(labels, labels_of_all):
            raise HeadstartError(f"{run.folder} was tested on other labels than the runs beside it")
        labels_of_all = labels
        correct.setdefault(run.strategy, []).append(logits.argmax(axis=1) == labels)
    return {name: np.stack(hits) for name, hits in correct.items()}
