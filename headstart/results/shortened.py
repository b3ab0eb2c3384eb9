"""What a time limit made of the recipes, and the command that does the same again without a clock."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Any

from headstart.plan import Plan
from headstart.results import runs
from headstart.strategies import PROBE, backbone_name, strategy_name

LIMIT, OUTPUT, SIZES = "--time-limit", "--output", "--sizes"  # options that the same again must not have
CURVE = "learning-curve"


def plan_of(run: runs.Run) -> Plan | None:
    """How a run was trained, where that was planned: the epochs that it had in the end."""
    said = run.config.get("plan")
    return Plan.of(said) if isinstance(said, str) else None  # runs of schema 2 before plans were text hold a dict


def shortened(found: Sequence[runs.Run], request: Mapping[str, Any] | None) -> dict[str, str]:
    """Candidate -> what of its whole recipe was left out, in words; only of those that were shortened, or left out."""
    asked = {str(each) for each in (request or {}).get("options", {}).get("plan") or ()}
    said = {
        name: "left out, as the plan says"
        if str(Plan(name, 0)) in asked
        else "left out, as there was no time for a tenth of its epochs"
        for name in left_out(request)
    }
    for run in found:
        plan, whole = plan_of(run), (request or {}).get("strategies", {}).get(run.candidate)
        if plan is None or whole is None:
            continue
        recipe, parts = whole["recipe"], []
        if plan.last_epochs < recipe["epochs"]:
            parts.append(f"{plan.last_epochs:g} of {recipe['epochs']:g} epochs")
        if plan.image_size is not None:
            parts.append(f"images of {plan.image_size} pixels a side")
        if plan.views is not None:
            parts.append(f"{plan.views} of {len(recipe['views'])} views of each image")
        if parts:
            said.setdefault(run.candidate, ", ".join(parts))
    return said


def left_out(request: Mapping[str, Any] | None) -> list[str]:
    """The candidates that were asked for, and for which a time limit left no time."""
    if request is None:
        return []
    trained = {trial["candidate"] for trial in request["trials"]}
    others = {each["backbone"] for each in request.get("probed", []) if each["behind"] is not None}
    if "probed" in request:  # nothing was retrained of those whose probe failed
        others |= {backbone_name(name) for name in request.get("failed", {}) if strategy_name(name) == PROBE}
    names = [name for name in request.get("strategies", {}) if name not in trained]
    return [name for name in names if backbone_name(name) not in others]


def plans(found: Sequence[runs.Run]) -> list[str]:
    """The plans of all runs as text: one a candidate, or one a run where its seeds had different ones."""
    planned = [(run, plan) for run in found if (plan := plan_of(run)) is not None]
    ways = Counter(candidate for candidate, _ in {(run.candidate, plan) for run, plan in planned})
    return list(
        dict.fromkeys(str(plan if ways[run.candidate] == 1 else replace(plan, seed=run.seed)) for run, plan in planned)
    )


def again(found: Sequence[runs.Run], request: Mapping[str, Any] | None = None) -> str:
    """The command that trains the same, bit for bit on such a machine; for runs made from Python, the options."""
    texts = [*plans(found), *(str(Plan(name, 0)) for name in left_out(request))]
    typed = found[0].config["command"]
    if not typed:
        return f"plan={texts}"
    words, kept, more = shlex.split(typed), [], ["--plan", *texts]
    while words:
        word = words.pop(0)
        if word in (LIMIT, OUTPUT):
            words = words[1:]
        elif word == SIZES:
            words = list(dropwhile(lambda each: not each.startswith("-"), words))
        elif not word.startswith((f"{LIMIT}=", f"{OUTPUT}=", f"{SIZES}=")):
            kept.append(word)
    if CURVE in kept[:2]:  # of one of its sizes
        kept[1] = "compare"
        more += ["--train-limit", str(found[0].config["dataset"]["train"]), "--folds", "none"]
        if len(backbones := {backbone_name(run.candidate) for run in found} - {""}) > 1:  # a curve keeps all
            more += ["--keep", str(len(backbones))]
    flags = [place for place, word in enumerate(kept) if word.startswith("-")]
    end = flags[-1] if flags[:1] == [2] else len(kept)  # the place of the images stands behind the last one
    return shlex.join([*kept[:end], *more, *kept[end:]])
