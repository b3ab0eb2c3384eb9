"""A Comparison as one page that explains itself: `report.html`, with its figures inside and no need of a network.

The page reads what the runs left behind, never a model. All that depends on data is put together here, as plain values;
the template beside this file says where they stand.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from headstart import runs
from headstart.comparison import Comparison
from headstart.data.dataset import Dataset
from headstart.errors import HeadstartError
from headstart.report import count, duration, figures, percent
from headstart.report.drawing import colours, means_of, png, runs_of
from headstart.report.tables import TABLES, class_rows, confusion_matrix, frequent_mistakes, key_numbers, table_rows

MOST_CLASSES_OPEN = 20  # a longer table of classes starts folded


@dataclass(frozen=True)
class Picture:
    """A figure with the words around it; `source` is the PNG as a data URI."""

    name: str
    heading: str
    caption: str
    alt: str
    source: str


def write_report(comparison: Comparison, dataset: Dataset) -> Path:
    """Write the figures and report.html into the comparison's folder; returns the path of the page.

    dataset: what the runs were trained on, for its images and counts. Raises HeadstartError when it is another one.
    """
    if dataset.fingerprint != comparison.dataset["fingerprint"]:
        raise HeadstartError(
            f"the runs in {comparison.folder} were tested on {comparison.dataset['name']}, whose fingerprint is "
            f"{comparison.dataset['fingerprint'][:12]}, not on {dataset.name} ({dataset.fingerprint[:12]}): load that"
        )
    folder = comparison.folder / runs.FIGURES
    folder.mkdir(exist_ok=True)
    environment = Environment(
        loader=PackageLoader("headstart.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        comparison=comparison,
        colours=colours(comparison),
        tables={title: (columns, table_rows(comparison, columns)) for title, columns in TABLES.items()},
        summaries={name: runs_of(comparison, name)[0].config["strategy"]["summary"] for name in colours(comparison)},
        key_numbers=key_numbers(comparison),
        result_pictures=_result_pictures(comparison, folder),
        confusion_pictures=_confusion_pictures(comparison, folder),
        data_pictures=_data_pictures(dataset, folder),
        sizes=", ".join(f"{count(comparison.dataset[name])} {name}" for name in figures.SPLITS),
        classes=class_rows(comparison),
        mistakes=frequent_mistakes(comparison),
        most_classes_open=MOST_CLASSES_OPEN,
        provenance=_provenance(comparison),
        environment=_environment(comparison),
        commands=_commands(comparison),
    )
    path = comparison.folder / runs.REPORT
    runs.write_text(path, page.encode("utf-8", "replace").decode("utf-8"))  # a name may hold half a surrogate pair
    return path


# -------------------------------------------------------------------------------------------------------- the pictures


def _picture(figure: Figure, path: Path, heading: str, caption: str, alt: str) -> Picture:
    content = png(figure)
    runs.write_bytes(path, content)
    return Picture(
        path.stem, heading, caption, alt, f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    )


def _result_pictures(comparison: Comparison, folder: Path) -> list[Picture]:
    scores = "; ".join(f"{name} {percent(row['accuracy'])}" for name, row in means_of(comparison).items())
    times = "; ".join(f"{name} {duration(row['fit_seconds'])}" for name, row in means_of(comparison).items())
    return [
        _picture(
            figures.accuracy_vs_time(comparison),
            folder / "accuracy_vs_time.png",
            "What accuracy costs",
            "Higher is more accurate, further left is quicker to fit. The dotted line joins what is best for its time: "
            "a strategy below it is beaten by one that is no slower.",
            f"Scatter plot of accuracy on test against time to fit. Accuracy: {scores}. Time: {times}.",
        ),
        _picture(
            figures.metrics(comparison),
            folder / "metrics.png",
            "Four scores",
            "Every panel has the same axis. Where the classes are equally many the four nearly agree; where they are "
            "not, precision, recall and F1 give a rare class the weight of a common one.",
            f"Dot plot of accuracy, precision, recall and F1 of each strategy. Accuracy: {scores}.",
        ),
        _picture(
            figures.curves(comparison),
            folder / "curves.png",
            "How they learned",
            "Dashed is train, augmented and as met during the epoch; solid is val, which training never sees. "
            "A gap that widens is overfitting. The weights kept are those of the ringed epoch. Losses include label "
            "smoothing: compare them within a strategy, and accuracies, which share an axis, between strategies.",
            "Line charts of loss and accuracy on train and val over the epochs, a row a strategy.",
        ),
    ]


def _confusion_pictures(comparison: Comparison, folder: Path) -> list[Picture]:
    pictures = []
    for name in colours(comparison):
        matrix = confusion_matrix(comparison, name)
        seeds = len(runs_of(comparison, name))
        summed = f" Counts are summed over {seeds} seeds." if seeds > 1 else ""
        picture = _picture(
            figures.confusion(matrix, comparison.dataset["class_names"], name),
            folder / f"confusion_{name}.png",
            name,
            "A row is a true class, a column what it was taken for: the diagonal is right, the rest are mistakes."
            + summed,
            f"Confusion matrix of {name} on the test images.",
        )
        pictures.append(picture)
    return pictures


def _data_pictures(dataset: Dataset, folder: Path) -> list[Picture]:
    return [
        _picture(
            figures.samples(dataset.train, dataset.class_names),
            folder / "samples.png",
            "Training images",
            "Taken evenly from each class, not chosen. What is hard to name here is hard for a network too.",
            "Grid of training images, each class in a row of its own.",
        ),
        _picture(
            figures.class_balance(dataset),
            folder / "class_balance.png",
            "Images of each class",
            "A class with few images is learned from few examples, and its score rests on few test images.",
            "Bar charts of the number of images of each class in train, val and test.",
        ),
    ]


# ------------------------------------------------------------------------------------------------------- what was run


def _provenance(comparison: Comparison) -> list[dict[str, Any]]:
    """What each strategy was and did, from the config.json of its runs."""
    return [_strategy_facts(name, [run.config for run in runs_of(comparison, name)]) for name in colours(comparison)]


def _strategy_facts(name: str, configs: list[dict[str, Any]]) -> dict[str, Any]:
    first = configs[0]
    return {
        "name": name,
        "summary": first["strategy"]["summary"],
        "retrained": first["retrained"],
        "seeds": ", ".join(str(config["seed"]) for config in configs),
        "device": _distinct(config["device"] for config in configs),
        "precision": _distinct(config["precision"] for config in configs),
        "backbone": first["backbone"]["name"] if first["backbone"] else "",
        "settings": {
            "Recipe": _flat(first["strategy"]["recipe"]),
            "Strategy": _flat(
                {key: first["strategy"][key] for key in first["strategy"] if key not in ("name", "summary", "recipe")}
            ),
            "Network": _flat(first["network"]),
        },
    }


def _environment(comparison: Comparison) -> dict[str, str]:
    """Versions and machine, a value a key; where the runs differ, every value there was."""
    found = [_flat(runs.read_json(run.folder / runs.ENVIRONMENT)) for run in comparison.runs]
    keys = dict.fromkeys(key for environment in found for key in environment)
    return {key: _distinct(environment[key] for environment in found if key in environment) for key in keys}


def _commands(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(run.config["command"] for run in comparison.runs if run.config["command"]))


def _flat(content: Mapping[Any, Any], above: str = "") -> dict[str, str]:
    """Nested dicts and lists of dicts as one dict of texts: {'a': {'b': 1}} -> {'a.b': '1'}."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            value = dict(enumerate(value, start=1))
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values))
