"""What the runs of one folder say together: the table, and which candidate to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from headstart.errors import HeadstartError
from headstart.evaluation.scores import METRICS, SCORES
from headstart.networks import caution
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.doubts import Audited, suspects, without_leaks
from headstart.results.files import json_text, table_text, write_text
from headstart.results.forgetting import forgetting_by_candidate, mixtures_by_candidate
from headstart.results.passes import Pass, dropped, passes_of, refuse_copies, refuse_other_labels, tested
from headstart.results.probed import Probed
from headstart.results.request import read_request
from headstart.results.rows import KEYS as KEYS
from headstart.results.rows import pooled_of, row_of, summary_of
from headstart.results.trivial import trivial_answers
from headstart.results.verdict import FIT, LATENCY, SIZE, Verdict, beside, decide
from headstart.runtime.text import html_table, shown
from headstart.values import given, path

if TYPE_CHECKING:
    from headstart import Classifier

UNEQUAL = 5  # times as many images in the largest class as in the smallest: accuracy alone may mislead
SAME = ("name", "fingerprint", "class_names", "tested")  # of the data: what runs that are compared must share


@dataclass(frozen=True)
class Comparison:
    """Several candidates on one data set, measured alike.

    dataset: name, fingerprint, source, class_names and the sizes of train, val and test; with folds, of the first one's
    train and val, of all that is tested, and how many `folds` there are. backbone: name, weights and why, or None when
    no candidate needed one. runs: the finished runs; rows: a dict a run, in the same order, with KEYS and the keys of
    `SCORES`, None where a run lacks that score. passes: candidate -> its runs, put together so that each pass tests
    every image once. planned: how many runs there are to be. summary: candidate -> score -> mean over passes, std over
    runs, low and high of its 95 % interval. leaked: how many test images have duplicates in train or val.
    without_leaks: candidate -> its scores on the others, means over its passes. dropped: candidate -> after how many
    folds it was clearly behind, and not trained any more.
    label_suspects: images of val and test whose label the most accurate candidate disbelieves: dicts of split, row,
    file, label, suggested and confidence (of what is suggested). forgetting: candidate -> what retraining did to its
    pre-trained network, see `forgetting_of`, means over seeds; only candidates whose runs have it. mixtures: candidate
    -> the `rows` of `training.mixtures.Line`, means over its runs, and the share that was `kept`; only of those that
    were retrained and had a val. asked: the names of all candidates that were asked for. probed: where there were
    several backbones, these, best first. missing: backbone -> why its weights could not be had. failed: candidate ->
    why it has no part in this.
    """

    folder: Path
    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    runs: list[runs.Run]
    rows: list[dict[str, Any]]
    passes: Mapping[str, Sequence[Pass]]
    summary: Mapping[str, Mapping[str, Mapping[str, float]]]
    verdict: Verdict
    planned: int
    leaked: int = 0
    without_leaks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    label_suspects: Sequence[Mapping[str, Any]] = ()
    forgetting: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    mixtures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    asked: Sequence[str] = ()
    probed: Sequence[Probed] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def recommended(self) -> str:
        """The candidate to take."""
        return self.verdict.take

    @property
    def because(self) -> str:
        """Why, and what the pre-trained network is worth, in a few sentences."""
        verdict = self.verdict
        return " ".join(
            filter(
                None,
                (verdict.said, verdict.doubt, verdict.learned, verdict.otherwise, verdict.head_start, self.caution),
            )
        )

    @property
    def caution(self) -> str:
        """What the licence of the weights that the recommended candidate began from asks for; empty where it is free,
        and where runs are too old to tell."""
        weights = next(run.config["backbone"] for run in self.runs if run.candidate == self.recommended)
        return caution(weights["name"], weights["licence"]) if weights and "licence" in weights else ""

    @property
    def is_complete(self) -> bool:
        """Whether all that was planned is trained."""
        return len(self.runs) >= self.planned

    def table(self) -> pd.DataFrame:
        """One row a candidate, in the order of the report: means over passes, `accuracy_std` over runs (0 for one) and
        how many these are, `runs`."""
        rows = pd.DataFrame(self.rows).astype(dict.fromkeys(SCORES, float))  # what was not measured is NaN
        groups = rows.groupby("candidate", sort=False)
        table = groups[list(SCORES)].mean()
        if self.folds:
            table.update(pd.DataFrame({name: pooled_of(passes) for name, passes in self.passes.items()}, dtype=float).T)
        table.insert(1, "accuracy_std", groups["accuracy"].std(ddof=1).fillna(0.0))
        table.insert(2, "runs", groups.size())
        return table

    @property
    def folds(self) -> int:
        """How many splits are tested one after the other; 0 where there is one."""
        return self.dataset.get("folds", 0)

    @property
    def repeats(self) -> str:
        """What the runs of a candidate differ in: "folds" or "seeds"."""
        return "folds" if self.folds else "seeds"

    @property
    def classifier(self) -> Path:
        """The folder of the classifier to take home: the recommended candidate, trained once more on all images where
        there were folds, else its first run."""
        return runs.classifier_of(self.folder, self.recommended).folder

    def as_json(self) -> dict[str, Any]:
        """What comparison.json keeps and `headstart compare --json` prints: docs/json.md."""
        return {
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
            "mixtures": self.mixtures,
            "dropped": self.dropped,
            **({"probed": [each.as_json() for each in self.probed]} if self.probed else {}),
            **{key: found for key, found in (("missing", self.missing), ("failed", self.failed)) if found},
        }

    @property
    def files(self) -> dict[str, str]:
        """comparison.json and comparison.csv, as text."""
        return {runs.COMPARISON: json_text(self.as_json()), runs.TABLE: table_text(pd.DataFrame(self.rows))}

    def save(self) -> None:
        """Write comparison.json and comparison.csv into the folder."""
        for name, text in self.files.items():
            write_text(self.folder / name, text)
        renew_checksums(self.folder, *self.files)

    def _repr_html_(self) -> str:
        """In a notebook: a row a candidate, and which to take."""
        rows = []
        for name, row in self.table().iterrows():
            low, high = (100 * self.summary[str(name)]["accuracy"][end] for end in ("low", "high"))
            rows.append(
                (name, f"{100 * row.accuracy:.2f} %", f"{low:.1f} to {high:.1f} %", f"{row.fit_seconds:,.0f} s")
            )
        return html_table(
            f"{self.dataset['name']}: {self.dataset['test']:,} test images",
            ("", "accuracy", "95 %", "fit"),
            rows,
            "" if self.is_complete else f"{len(self.runs)} of {self.planned} runs so far",
            f"Take {self.recommended}. {self.because}",
        )

    @property
    def best(self) -> Classifier:
        """The classifier to take home, ready to predict."""
        import headstart  # by its public name: results stand below the rooms that need torch

        return headstart.Classifier.load(self.classifier)


def chosen_run(folder: Path) -> runs.Run:
    """The run whose classifier a folder stands for: its own, or the one that a comparison recommends."""
    if not runs.find_runs(folder):
        return runs.Run(folder)
    said = runs.read_beside(folder, runs.COMPARISON)
    return runs.classifier_of(folder, said["recommended"] if said else compare_runs(folder).recommended)


def compare_runs(
    folder: Path, prefer: str | None = None, metric: str | None = None, margin: float | None = None
) -> Comparison:
    """Read every run below `folder`, score them against each other and recommend one.

    Candidates come in the order in which they were asked for, then those that nobody asked for. prefer, metric, margin:
    see `decide`; by default as in the folder's comparison.json, if there is one. Raises HeadstartError when no run is
    finished or when two were tested on different data.
    """
    folder = given("folder", folder, path)
    if not (every := runs.find_runs(folder)):
        raise HeadstartError(f"{shown(folder)} holds no finished run: {runs.why_none(folder)}")
    before: Mapping[str, Any] = runs.read_beside(folder, runs.COMPARISON) or {}
    request = read_request(folder)
    asked_for: Mapping[str, Any] = request or {}
    asked: dict[str, Any] = {"prefer": prefer, "metric": metric, "margin": margin}
    asked |= {key: before.get("verdict", {}).get(key) for key, value in asked.items() if value is None}
    names = _asked(before, request)
    failed: Mapping[str, str] = asked_for.get("failed", {})
    found = [run for run in every if run.candidate not in failed]
    if not found:
        raise HeadstartError(f"every candidate of {shown(folder)} failed: {' '.join(failed.values())}")
    found.sort(key=lambda run: names.index(run.candidate) if run.candidate in names else len(names))
    refuse_apart(found)
    rows, passes = [row_of(run) for run in found], passes_of(found)
    refuse_other_labels(passes)
    audit = Audited.of(folder, found[0].images)
    trials = [each for each in request["trials"] if each["candidate"] not in failed] if request else rows
    metric = asked["metric"] or "accuracy"
    probed = [Probed.of(each) for each in asked_for.get("probed", [])]
    of_probes = {each.candidate for each in probed}
    gone = dropped(found, trials, SCORES[METRICS[metric]], audit.clean, audit.units, of_probes)
    costs = {name: _costs([run for run in found if run.candidate == name]) for name in passes}

    def judged(metric: str) -> Verdict:
        score = SCORES[METRICS[metric]]
        return decide(
            {name: tested(each, score, audit.clean, audit.units) for name, each in passes.items()},
            costs,
            {run.candidate for run in found if run.config["backbone"]},
            trivial=trivial_answers(folder, score, audit.clean, audit.units),
            dropped=gone,
            without_leaks=len(audit.clean) < found[0].images,
            **{key: value for key, value in (asked | {"metric": metric}).items() if value is not None},
        )

    verdict = judged(metric)
    if (ratio := _inequality(passes)) >= UNEQUAL:
        verdict = beside(verdict, judged("accuracy" if metric != "accuracy" else "balanced-accuracy"), ratio)
    summary = summary_of(passes, rows, audit.units)
    most_accurate = max(
        (name for name in passes if name not in gone), key=lambda name: summary[name]["accuracy"]["mean"]
    )
    return Comparison(
        folder=folder,
        dataset=_dataset(found, trials),
        backbone=_backbone(found, verdict.take),
        runs=found,
        rows=rows,
        passes=passes,
        summary=summary,
        verdict=verdict,
        planned=_planned(rows, trials, gone),
        leaked=audit.leaked,
        without_leaks=without_leaks(audit, passes),
        label_suspects=suspects(passes[most_accurate], audit.files),
        forgetting=forgetting_by_candidate(found),
        mixtures=mixtures_by_candidate(found),
        dropped=gone,
        asked=names,
        probed=probed,
        missing=asked_for.get("missing", {}),
        failed=failed,
    )


def refuse_apart(found: Sequence[runs.Run]) -> None:
    """Raise HeadstartError where one run is there twice, or two were tested on different data."""
    refuse_copies(found)
    first = found[0]
    for run in found:
        if any(run.config["dataset"].get(key) != first.config["dataset"].get(key) for key in SAME):
            raise HeadstartError(
                f"{run.folder} and {first.folder} were not tested on the same data: compare them apart"
            )


def _costs(found: Sequence[runs.Run]) -> dict[str, float]:
    """What the runs of a candidate cost on average."""
    return {key: float(np.mean([run.metrics[key] for run in found])) for key in (FIT, LATENCY, SIZE)}


def _backbone(found: Sequence[runs.Run], take: str) -> dict[str, Any] | None:
    """What is said of the backbone of the recommended candidate; of another where that has none."""
    weights = [run.config["backbone"] for run in sorted(found, key=lambda run: run.candidate != take)]
    return next(({key: each[key] for key in ("name", "weights", "why")} for each in weights if each), None)


def _inequality(passes: Mapping[str, Sequence[Pass]]) -> float:
    """How many times as large as the smallest class that is tested the largest is."""
    most = max((each for of_candidate in passes.values() for each in of_candidate), key=lambda each: len(each.tested))
    _, counts = np.unique(most.labels[most.tested], return_counts=True)
    return float(counts.max() / counts.min())


def _dataset(found: Sequence[runs.Run], trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is said of the data."""
    about = dict(found[0].config["dataset"])
    splits = {trial["split"] for trial in trials}
    return about | {"test": about["tested"], "folds": len(splits)} if len(splits) > 1 else about


def _asked(before: Mapping[str, Any], request: Mapping[str, Any] | None) -> list[str]:
    """The names of the candidates in the order in which they were asked for; without a request, in that of the table
    before."""
    if request:
        return list(dict.fromkeys([*request.get("strategies", {}), *(each["candidate"] for each in request["trials"])]))
    return list(dict.fromkeys(row.get("candidate", row["strategy"]) for row in before.get("strategies", [])))


def _planned(rows: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]], gone: Mapping[str, int]) -> int:
    """How many runs there are to be: all that were asked for but those that are dropped, and what is there beside."""
    splits = list(dict.fromkeys(trial["split"] for trial in trials))
    left = [it for it in trials if splits.index(it["split"]) < gone.get(it["candidate"], len(splits))]
    return len({(each["candidate"], each["split"], each["seed"]) for each in (*rows, *left)})
