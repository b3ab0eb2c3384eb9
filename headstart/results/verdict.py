"""Which candidate to take, how sure that is, and what another choice would cost or gain: pure functions of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headstart.evaluation.statistics import Difference, Pair, all_differences, paired_difference

SIGNIFICANCE = 0.05  # of a difference, by its p-value after Holm's correction: above it, two cannot be told apart
CLOSE = 0.02  # of accuracy that a preference for a cost may give up
FIT, LATENCY, SIZE = "fit_seconds", "latency_ms", "size_mb"
COSTS = {  # the other PREFERENCES (strategies.py) -> key of a row, unit, digits, what it is, how the smallest is called
    "fit-time": (FIT, "s", 0, "the time to fit", "quickest to fit"),
    "latency": (LATENCY, "ms", 1, "the time an image", "quickest to classify an image"),
    "size": (SIZE, "MB", 1, "the size", "smallest"),
}


@dataclass(frozen=True)
class Alternative:
    """What taking another candidate, `strategy`, would mean.

    difference: accuracy of what is recommended minus its own. ratios: each cost of what is recommended over its own.
    told_apart: whether the difference is significant (Holm).
    """

    strategy: str
    difference: Difference
    adjusted_p: float
    told_apart: bool
    ratios: Mapping[str, float]
    said: str


@dataclass(frozen=True)
class Verdict:
    """What to take, why, and what the others would cost or gain.

    front: the Pareto front of accuracy, time to fit, latency and size. pairs: every two, compared.
    """

    take: str
    prefer: str
    said: str
    head_start: str
    front: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    pairs: tuple[Pair, ...]

    def as_json(self) -> dict[str, Any]:
        """As comparison.json keeps it."""
        return asdict(self)


def decide(
    correct: Mapping[str, np.ndarray],
    costs: Mapping[str, Mapping[str, float]],
    pretrained: Collection[str],
    prefer: str = "accuracy",
) -> Verdict:
    """Choose a candidate.

    correct: candidate -> (S, N), whether each seed classified each test image rightly. costs: candidate -> fit_seconds,
    latency_ms and size_mb. pretrained: the candidates that start from pre-trained weights. prefer: "accuracy": the
    most accurate or, of those that cannot be told from it, the quickest to fit; "fit-time", "latency", "size": the
    cheapest in that of those that are at most CLOSE less accurate, or cannot be told from the most accurate.
    """
    accuracy, best = _accuracies(correct)
    pairs = tuple(all_differences(correct))
    adjusted = {frozenset((pair.better, pair.other)): pair.adjusted_p for pair in pairs}
    tied = [name for name in correct if name != best and adjusted[frozenset((name, best))] >= SIGNIFICANCE]
    close = [name for name in correct if prefer != "accuracy" and accuracy[best] - accuracy[name] <= CLOSE]
    key = COSTS["fit-time" if prefer == "accuracy" else prefer][0]
    take = min({best, *tied, *close}, key=lambda name: (costs[name][key], -accuracy[name]))
    alternatives = tuple(
        _alternative(take, name, correct, costs, adjusted[frozenset((name, take))])
        for name in sorted(correct, key=lambda name: -accuracy[name])
        if name != take
    )
    return Verdict(
        take,
        prefer,
        _reason(take, tied, prefer, correct, costs, alternatives),
        head_start(correct, pretrained, adjusted),
        front(accuracy, costs),
        alternatives,
        pairs,
    )


def _accuracies(correct: Mapping[str, np.ndarray]) -> tuple[dict[str, float], str]:
    """Candidate -> its accuracy, mean over seeds; and the most accurate."""
    accuracy = {name: float(np.mean(hits)) for name, hits in correct.items()}
    return accuracy, max(accuracy, key=accuracy.__getitem__)


def front(accuracy: Mapping[str, float], costs: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The Pareto front: candidates that no other is as good as in everything and better in something."""
    values = {name: (-accuracy[name], *(costs[name][cost[0]] for cost in COSTS.values())) for name in accuracy}

    def beats(a: str, b: str) -> bool:
        return values[a] != values[b] and all(x <= y for x, y in zip(values[a], values[b], strict=True))

    return tuple(name for name in values if not any(beats(other, name) for other in values))


def head_start(
    correct: Mapping[str, np.ndarray], pretrained: Collection[str], adjusted: Mapping[frozenset[str], float]
) -> str:
    """The project's question, answered in a sentence where both kinds of candidate ran; else empty.

    adjusted: two candidates -> the p-value of their difference after correction for the number of pairs.
    """
    kinds = [[name for name in correct if (name in pretrained) == kind] for kind in (True, False)]
    if not all(kinds):
        return ""
    transfer, scratch = (max(names, key=lambda name: np.mean(correct[name])) for names in kinds)
    difference = paired_difference(correct[transfer], correct[scratch])
    if adjusted[frozenset((transfer, scratch))] >= SIGNIFICANCE:
        unclear = f"{points(difference)}{_doubt(difference)}"
        return f"The pre-trained network gives no clear head start over {scratch}: {unclear}."
    if difference.mean < 0:
        return f"The pre-trained network gives no head start: {scratch} is better by {points(difference, -1)}."
    return f"The pre-trained network gives a head start of {points(difference)} over {scratch}."


def points(difference: Difference, sign: int = 1) -> str:
    """A difference in points of a percent, with its interval."""
    low, high = sorted((100 * sign * difference.low, 100 * sign * difference.high))
    return f"{100 * sign * difference.mean:.2f} points (95 % interval {low:.2f} to {high:.2f})"


def _doubt(difference: Difference) -> str:
    """Why a difference does not count although its own interval leaves zero out, where that is so."""
    return "" if difference.is_tie else "; too little where so many pairs are compared"


def _alternative(
    take: str,
    other: str,
    correct: Mapping[str, np.ndarray],
    costs: Mapping[str, Mapping[str, float]],
    adjusted_p: float,
) -> Alternative:
    difference = paired_difference(correct[take], correct[other])
    ratios = {cost[0]: costs[take][cost[0]] / max(costs[other][cost[0]], 1e-9) for cost in COSTS.values()}
    told_apart = adjusted_p < SIGNIFICANCE
    if not told_apart:
        how = f"cannot be told from {take} ({points(difference, -1)}{_doubt(difference)})"
    elif difference.mean > 0:
        how = f"{points(difference)} less accurate"
    else:
        how = f"{points(difference, -1)} more accurate"
    said = f"{other}: {how}, {', '.join(_ratio(1 / ratios[key], what) for key, _, _, what, _ in COSTS.values())}."
    return Alternative(other, difference, adjusted_p, told_apart, ratios, said)


def _reason(
    take: str,
    tied: Collection[str],
    prefer: str,
    correct: Mapping[str, np.ndarray],
    costs: Mapping[str, Mapping[str, float]],
    alternatives: tuple[Alternative, ...],
) -> str:
    """The choice in a sentence or two; tied: the candidates that cannot be told from the most accurate."""
    accuracy, best = _accuracies(correct)
    if not alternatives:
        return f"{take} is the only strategy that ran: {100 * accuracy[take]:.2f} % on test."
    against = {each.strategy: each for each in alternatives}
    if prefer != "accuracy":
        key, unit, digits, _, called = COSTS[prefer]
        reason = (
            f"{take} is the {called} ({costs[take][key]:.{digits}f} {unit}) of those within {100 * CLOSE:.0f} points "
            f"of the most accurate, {best} with {100 * accuracy[best]:.2f} %"
        )
        return f"{reason}." if take == best else f"{reason}: {points(against[best].difference, -1)} less."
    if tied:
        others = " and ".join(name for name in (best, *tied) if name != take)
        difference = against[best if take != best else next(iter(tied))].difference
        between, images = points(difference, 1 if take == best else -1), np.shape(correct[best])[-1]
        return (
            f"{take} and {others} cannot be told apart by {images:,} test images ({between} between "
            f"them{_doubt(difference)}): take the cheaper, {take}, at {costs[take][FIT]:.0f} s to fit."
        )
    cheaper = [each for each in alternatives[1:] if costs[each.strategy][FIT] < costs[take][FIT]]
    named = [alternatives[0], *cheaper[:1]]
    beats = ", and ".join(
        f"{each.strategy} by {points(each.difference)} at {_ratio(each.ratios[FIT], 'the time to fit')}"
        for each in named
    )
    return f"{take} is the most accurate on test: {100 * accuracy[take]:.2f} %. It beats {beats}."


def _ratio(ratio: float, what: str) -> str:
    return f"{ratio:.1f} times {what}" if ratio >= 0.095 else f"{ratio:.2f} times {what}"
