"""What was run, on what, by which command: from the config.json and environment.json of the runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from headstart.report.reading import candidates, runs_of
from headstart.results import runs
from headstart.results.comparison import Comparison
from headstart.results.files import read_json

NOT_TOLD = ("name", "summary", "recipe", "colour", "marker")  # among the facts of a strategy: told elsewhere, or seen


def facts(comparison: Comparison) -> list[dict[str, Any]]:
    """What each candidate was and did, from the config.json of its runs."""
    return [_facts_of(name, [run.config for run in runs_of(comparison, name)]) for name in candidates(comparison)]


def _facts_of(name: str, configs: list[dict[str, Any]]) -> dict[str, Any]:
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
            "Strategy": _flat({key: first["strategy"][key] for key in first["strategy"] if key not in NOT_TOLD}),
            "Network": _flat(first["network"]),
        },
    }


def environment(comparison: Comparison) -> dict[str, str]:
    """Versions and machine, a value a key; where the runs differ, every value there was."""
    found = [_flat(read_json(run.folder / runs.ENVIRONMENT)) for run in comparison.runs]
    keys = dict.fromkeys(key for each in found for key in each)
    return {key: _distinct(each[key] for each in found if key in each) for key in keys}


def commands(comparison: Comparison) -> list[str]:
    """What was typed to make the runs, each command once; none where they were made from Python."""
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
