"""MODEL_CARD.md: what a comparison's recommended classifier is, as the Hugging Face hub has cards, from the folder
alone. Nothing in it names a place on this machine, as it is made to be published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headstart.evaluation.scores import QUALITY, SCORES, shown_in
from headstart.inference.doubt import PAGES, Doubts
from headstart.networks import UNKNOWN
from headstart.report import (
    NBSP,
    NOT_MEASURED,
    WRITERS,
    count,
    decimal,
    duration,
    megabytes,
    milliseconds,
    percent,
    provenance,
    reading,
    words,
)
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import Comparison
from headstart.results.files import write_text
from headstart.results.pictures import read_pictures
from headstart.results.request import read_request
from headstart.results.shortened import shortened as left_out_of
from headstart.runtime.text import published, shorten, shown

TASK, LIBRARY = "image-classification", "headstart"  # as the hub calls them
ON_HUB = {"cifar10": "uoft-cs/cifar10"}  # data sets that the hub has
OF_FILES = "imagefolder"  # what the hub calls all others
LICENCES = (  # of weights, that the hub has a name for; others are told by a name of their own
    *("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "apple-ascl", "apple-amlr", "gemma"),
    *("fair-noncommercial-research-license", "unknown"),
)
SPREAD = "±"  # which stands in no table here
LONGEST = 60  # letters of a class name
LIMITS = (
    "It knows these classes and no other: a picture of something else is given one of them too.",
    "It was tested on images of the same source as it was trained on. Others, of another camera, place or time, were "
    "not; nor were pictures made to deceive it, or groups of people or things within a class.",
)
SPECIAL = re.compile(r"([\\`*_{}\[\]|$~])|^([-+#=])|^(\d+)(?=[.)](?:\s|$))")


def write_card(comparison: Comparison) -> Path:
    """Write MODEL_CARD.md into the comparison's folder; returns its path."""
    path = comparison.folder / runs.CARD
    write_text(path, f"---\n{front_matter(comparison)}---\n\n{_body(comparison)}")
    renew_checksums(comparison.folder, runs.CARD)
    return path


def front_matter(comparison: Comparison) -> str:
    """What the hub reads of a card: YAML, by the hub's own classes."""
    from huggingface_hub import EvalResult, ModelCardData

    about, take = comparison.dataset, comparison.recommended
    backbone = _backbone(comparison)
    licence = backbone["licence"] if backbone else UNKNOWN
    source = backbone["weights"] if backbone else ""
    stated = [score for score in SCORES.values() if score.hub]
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=ON_HUB.get(about["name"], OF_FILES),
            dataset_name=shown(about["name"]),
            dataset_split="cross-validation" if comparison.folds else "test",
            metric_type=score.hub,
            metric_name=score.title,
            metric_value=round(comparison.summary[take][score.key]["mean"], 6),
        )
        for score in stated
    ]
    known = licence in LICENCES
    card = ModelCardData(
        model_name=shown(f"{about['name']}-{take}"),
        license=licence if known else "other",
        license_name=None if known else licence,
        base_model=source.removeprefix("hub ") if source.startswith("hub ") else None,
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=[TASK, "transfer-learning" if backbone else "from-scratch"],
        datasets=[ON_HUB[about["name"]]] if about["name"] in ON_HUB else None,
        metrics=[score.hub for score in stated],
        eval_results=results,
    )
    return f"{card.to_yaml(line_break=chr(10))}\n"


def _body(comparison: Comparison) -> str:
    environment = Environment(
        loader=PackageLoader("headstart.report", ""),
        undefined=StrictUndefined,
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    about, take = comparison.dataset, comparison.recommended
    means, facts = reading.means_of(comparison), {each["name"]: each for each in provenance.facts(comparison)}
    return environment.get_template("card.md.j2").render(
        title=f"{about['name']}: {take}",
        about=about,
        take=take,
        complete=comparison.is_complete,
        runs=len(comparison.runs),
        planned=comparison.planned,
        accuracy=comparison.summary[take]["accuracy"],
        source=published(about["source"]),
        sizes=words.sizes(comparison),
        found=_found(comparison),
        measured=_measured(comparison),
        because=comparison.because,
        candidates=[
            {
                "name": name,
                "summary": facts[name]["summary"],
                "accuracy": comparison.summary[name]["accuracy"],
                "seconds": duration(means[name]["fit_seconds"]),
            }
            for name in means
        ],
        scores=_scores(comparison),
        classes=_classes(comparison),
        calibration=_calibration(comparison),
        folded=bool(comparison.folds),
        doubts=_doubts(comparison),
        false_flags=_false_flags(comparison),
        limits=_limits(comparison),
        cautions={title: text for title, text in words.CAUTIONS.items() if SPREAD not in title},
        licence=_licence(comparison),
        seconds=duration(means[take]["fit_seconds"]),
        latency=milliseconds(means[take]["latency_ms"]),
        size=megabytes(means[take]["size_mb"]),
        device=facts[take]["device"],
        environment=provenance.environment(comparison),
        percent=percent,
        count=count,
    )


def escaped(value: Any) -> Any:
    """A value as text that Markdown shows as it is, in one line; what is Markup stays."""
    if isinstance(value, Markup):
        return value
    text = escape(shown(str(value).replace(NBSP, " ")), quote=False)
    return SPECIAL.sub(lambda found: f"{found[3] or ''}\\{found[1] or found[2] or ''}", text)


def _backbone(comparison: Comparison) -> Mapping[str, Any] | None:
    """The weights that the recommended candidate began from; None where it began from none."""
    found = reading.runs_of(comparison, comparison.recommended)[0].config["backbone"]
    return found and {"licence": UNKNOWN, **found}  # runs of an older headstart do not say it


def _found(comparison: Comparison) -> list[str]:
    """What the audit found, faults first."""
    said = runs.read_beside(comparison.folder, runs.AUDIT)
    if said is None:
        return ["It was not audited."]
    return [each["said"] for each in sorted(said["findings"], key=lambda each: not each["is_fault"])]


def _measured(comparison: Comparison) -> list[str]:
    """Splits, folds, seeds, and what was left out."""
    seeds = sorted({run.seed for run in comparison.runs})
    said = words.folded(comparison) or [
        "Trained on train; every choice, such as when to stop, was made on val; test was looked at once, after it."
    ]
    said += [*words.ranked(comparison.probed, comparison.verdict.metric), *words.absent(comparison)]
    said.append(f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}.")
    shortened = left_out_of(comparison.runs, read_request(comparison.folder))
    said += [f"To keep a time limit {name} was shortened: {parts}." for name, parts in shortened.items()]
    return said


def _scores(comparison: Comparison) -> list[dict[str, str]]:
    """A row a score of quality that means something here, with its interval where it has one."""
    take = comparison.recommended
    values, summary = reading.means_of(comparison)[take], comparison.summary[take]
    rows = []
    for score in shown_in(QUALITY):
        value, write = values[score.key], WRITERS[score.written]
        bounds = summary.get(score.key)
        interval = f"{write(bounds['low'])} to {write(bounds['high'])}" if bounds else NOT_MEASURED
        if value is not None and np.isfinite(value):
            rows.append({"title": score.title, "value": write(value), "interval": interval, "meaning": score.meaning})
    return rows


def _classes(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a class: images in train, val and test (with folds, of those that are tested), and scores."""
    names, support = comparison.dataset["class_names"], reading.class_support(comparison)
    scores = reading.class_scores(comparison)[comparison.recommended]
    pictures = read_pictures(comparison.folder)
    unknown = [NOT_MEASURED] * len(names)
    counts = [unknown, unknown, list(map(count, support))]
    if pictures is not None and not comparison.folds:
        counts = [list(map(count, part)) for part in pictures.counts.tolist()]
    return [
        {
            "name": shorten(shown(name), LONGEST),
            "counts": [part[index] for part in counts],
            **{key: values[index] for key, values in scores.items()},
        }
        for index, name in enumerate(names)
    ]


def _calibration(comparison: Comparison) -> str:
    """How far confidence and accuracy are apart, and what made it so."""
    passes = comparison.passes[comparison.recommended]
    after, before = (
        percent(np.mean([each.metrics[key] for each in passes]))
        for key in ("calibration_error", "calibration_error_raw")
    )
    temperatures = sorted({decimal(run.metrics["temperature"]) for each in passes for run in each.runs})
    told = temperatures[0] if len(temperatures) == 1 else f"{temperatures[0]} to {temperatures[-1]}, a network each"
    without = "" if comparison.folds else f"; without it it would be {before}"  # folds are put together calibrated
    return (
        f"Logits are divided by a temperature that was fitted on val ({told}). On test the expected calibration error "
        f"is {after}{without}."
    )


def _doubts(comparison: Comparison) -> list[dict[str, str]]:
    """A row an accuracy that can be asked for: below which probability an answer is unsure then, and what is left."""
    known = Doubts.of(runs.classifier_of(comparison.folder, comparison.recommended)).sureness
    rows = []
    for asked in PAGES:
        row = {
            "asked": f"{100 * asked:g}%",
            "least": "cannot be shown",
            "answered": NOT_MEASURED,
            "right": NOT_MEASURED,
        }
        if sure := next((each for each in known if each.asked == asked), None):
            row |= {"least": percent(sure.least), "answered": percent((sure.test or sure.chosen).share, 1)}
            if sure.test and (right := sure.test.accuracy):
                row["right"] = f"{percent(right.value)} ({percent(right.low, 1)} to {percent(right.high, 1)})"
        rows.append(row)
    return rows


def _false_flags(comparison: Comparison) -> str:
    """The share of test images that are flagged as unlike training's; empty where no run says it."""
    found = [run.metrics.get("false_flags") for run in reading.runs_of(comparison, comparison.recommended)]
    known = [each for each in found if each is not None]
    return percent(np.mean(known), 1) if known else ""


def _limits(comparison: Comparison) -> list[str]:
    """What was not tested, and what in the test images may be wrong."""
    said = [*LIMITS]
    if leaks := words.without_leaks(comparison.leaked, comparison.without_leaks):
        said.append(leaks)
    if suspects := len(comparison.label_suspects):
        said.append(f"The labels of {count(suspects)} images of val and test are in doubt: report.html shows them.")
    return said


def _licence(comparison: Comparison) -> str:
    """Whose weights it began from, and under which licence these are."""
    backbone = _backbone(comparison)
    if backbone is None:
        return "It began from random weights: nobody else's are in it."
    return f"It began from the weights {backbone['name']} ({backbone['weights']}), licence: {backbone['licence']}."
