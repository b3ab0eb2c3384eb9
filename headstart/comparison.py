"""What the runs of one folder say together: the table, and which strategy to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart import runs
from headstart.errors import HeadstartError
from headstart.evaluation.label_noise import label_suspects
from headstart.evaluation.metrics import evaluate, mean_logits
from headstart.evaluation.statistics import Difference, paired_difference

if TYPE_CHECKING:
    from headstart.classifier import Classifier

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
MOST_SUSPECTS = 48


@dataclass(frozen=True)
class Comparison:
    """Several strategies on one data set, measured alike.

    dataset: name, fingerprint, source, class_names and the sizes of train, val and test. backbone: name, weights and
    why, or None when no strategy needed one. strategies: a dict a run, with the keys of `ROW`. leaked: how many test
    images have duplicates in train or val. without_leaks: strategy -> its scores on the others, means over its seeds.
    label_suspects: images of val and test whose label the most accurate strategy disbelieves: dicts of split, row,
    file, label, suggested and confidence (of what is suggested).
    """

    folder: Path
    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    strategies: list[dict[str, Any]]
    recommended: str
    because: str
    leaked: int = 0
    without_leaks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    label_suspects: Sequence[Mapping[str, Any]] = ()

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
            "leaked_test_images": self.leaked,
            "without_leaks": self.without_leaks,
            "label_suspects": self.label_suspects,
        }
        runs.write_json(self.folder / runs.COMPARISON, content)
        runs.write_text(self.folder / runs.TABLE, pd.DataFrame(self.strategies).to_csv(index=False))

    @property
    def best(self) -> Classifier:
        """The recommended strategy's classifier, of its first seed, ready to predict."""
        from headstart.classifier import Classifier  # the only thing here that needs torch

        return Classifier.load(next(run.folder for run in self.runs if run.strategy == self.recommended))


def compare_runs(folder: Path, order: Sequence[str] = ()) -> Comparison:
    """Read every run below `folder`, score them against each other and recommend one.

    order: the strategies as the table is to have them; those it lacks come last. Raises HeadstartError when no run is
    finished or when two were tested on different data.
    """
    found = runs.find_runs(folder)
    if not found:
        raise HeadstartError(f"{folder} holds no finished run: nothing to compare")
    places = {name: place for place, name in enumerate(order)}
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
    seconds = {name: np.mean([row["fit_seconds"] for row in rows if row["strategy"] == name]) for name in correct}
    recommended, because = recommend(correct, seconds)
    pretrained = [name for name in correct if any(c["strategy"]["name"] == name and c["backbone"] for c in configs)]
    audit = runs.read_json(folder / runs.AUDIT) if (folder / runs.AUDIT).exists() else {}
    leaked = np.array(audit.get("leaked_test_images", []), dtype=int)
    most_accurate = max(correct, key=lambda name: correct[name].mean())
    return Comparison(
        folder=folder,
        dataset=configs[0]["dataset"],
        backbone=next(({key: each[key] for key in ("name", "weights", "why")} for each in backbones if each), None),
        strategies=rows,
        recommended=recommended,
        because=" ".join([because, *head_start(correct, pretrained)]),
        leaked=len(leaked),
        without_leaks=_without(leaked, found) if len(leaked) else {},
        label_suspects=_suspects([run for run in found if run.strategy == most_accurate], audit.get("files", {})),
    )


def _without(leaked: np.ndarray, found: Sequence[runs.Run]) -> dict[str, dict[str, float]]:
    """Strategy -> its scores on the test images that are not `leaked`, means over its seeds."""
    scores: dict[str, list[dict[str, Any]]] = {}
    for run in found:
        logits, labels, names = run.predictions()
        kept = np.delete(np.arange(len(labels)), leaked)
        scores.setdefault(run.strategy, []).append(evaluate(logits[kept], labels[kept], names))
    return {
        name: {key: float(np.mean([seed[key] for seed in seeds])) for key in SCORES} for name, seeds in scores.items()
    }


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


def _correct_by_strategy(found: list[runs.Run]) -> dict[str, np.ndarray]:
    """Strategy -> (N,) share of its seeds that classified each test image rightly."""
    correct: dict[str, list[np.ndarray]] = {}
    labels_of_all = None
    for run in found:
        logits, labels, _ = run.predictions()
        if labels_of_all is not None and not np.array_equal(labels, labels_of_all):
            raise HeadstartError(f"{run.folder} was tested on other labels than the runs beside it")
        labels_of_all = labels
        correct.setdefault(run.strategy, []).append(logits.argmax(axis=1) == labels)
    return {name: np.mean(hits, axis=0) for name, hits in correct.items()}


def recommend(correct: Mapping[str, np.ndarray], seconds: Mapping[str, float]) -> tuple[str, str]:
    """Which strategy to take, and a sentence that says why.

    correct: strategy -> (N,) share of seeds that classified each test image rightly. seconds: strategy -> seconds to
    fit. The most accurate one wins, unless others cannot be told from it on this test set: then the quickest of those.
    """
    by_accuracy = sorted(correct, key=lambda name: -correct[name].mean())
    top = by_accuracy[0]
    if len(by_accuracy) == 1:
        return top, f"{top} is the only strategy that ran: {_accuracy(correct[top])} on test."
    against = {name: paired_difference(correct[top], correct[name]) for name in by_accuracy[1:]}
    tied = [top, *(name for name, difference in against.items() if difference.is_tie)]
    choice = min(tied, key=lambda name: seconds[name])
    if len(tied) == 1:
        second = by_accuracy[1]
        return top, (
            f"{top} is the most accurate on test: {_accuracy(correct[top])}, {_points(against[second])} ahead of "
            f"{second} ({seconds[top]:.0f} s to fit against {seconds[second]:.0f} s)."
        )
    others = " and ".join(f"{name} ({_points(against[name])} behind {top})" for name in tied if name != top)
    return choice, (
        f"{choice} is the quickest to fit ({seconds[choice]:.0f} s) of those that {len(correct[top]):,} test images "
        f"cannot tell apart: {top} at {_accuracy(correct[top])}, {others}."
    )


def head_start(correct: Mapping[str, np.ndarray], pretrained: list[str]) -> list[str]:
    """The project's question, answered in a sentence where both kinds of strategy ran; else nothing."""
    scratch = [name for name in correct if name not in pretrained]
    if not scratch or not pretrained:
        return []
    best_scratch, best_pretrained = (
        max(names, key=lambda name: correct[name].mean()) for names in (scratch, pretrained)
    )
    difference = paired_difference(correct[best_pretrained], correct[best_scratch])
    if difference.is_tie:
        return [f"The pre-trained network gives no clear head start over {best_scratch}: {_points(difference)}."]
    if difference.mean < 0:
        return [f"The pre-trained network gives no head start: {best_scratch} is better by {_points(difference, -1)}."]
    return [f"The pre-trained network gives a head start of {_points(difference)} over {best_scratch}."]


def _accuracy(correct: np.ndarray) -> str:
    return f"{100 * correct.mean():.2f} %"


def _points(difference: Difference, sign: int = 1) -> str:
    low, high = sorted((100 * sign * difference.low, 100 * sign * difference.high))
    return f"{100 * sign * difference.mean:.2f} points (95 % interval {low:.2f} to {high:.2f})"
