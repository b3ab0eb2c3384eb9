"""Which candidate to take, how sure that is, and what another choice would cost or gain: pure functions of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from headstart.evaluation.choice import choose, chosen_interval
from headstart.evaluation.statistics import (
    NETWORKS,
    Difference,
    Interval,
    Pair,
    Tested,
    all_differences,
    between,
    paired_difference,
)

CLOSE = 0.02  # of the score that a preference for a cost may give up
HALF = 0.5  # of the time to fit of the best: what one that scores a little less may take to be taken for it
ERROR = 0.05  # how often "better than a trivial answer" may be said of some candidate that is not
LUCK = 0.0005  # of the score: what was taken off it is said where it is more
FIT, LATENCY, SIZE = "fit_seconds", "latency_ms", "size_mb"
COSTS = {  # the other PREFERENCES (strategies.py) -> key of a row, unit, digits, what it is, how the smallest is called
    "fit-time": (FIT, "s", 0, "the time to fit", "quickest to fit"),
    "latency": (LATENCY, "ms", 1, "the time an image", "quickest to classify an image"),
    "size": (SIZE, "MB", 1, "the size", "smallest"),
}
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Alternative:
    """What taking another candidate, `strategy`, would mean.

    difference: score of what is recommended minus its own, corrected for the number of pairs. relation: what it is
    beside the recommended one: "better", "worse", "tie" (surely less than the margin apart) or "open". ratios: each
    cost of what is recommended over its own.
    """

    strategy: str
    difference: Difference
    relation: str
    ratios: Mapping[str, float]
    said: str


@dataclass(frozen=True)
class Verdict:
    """What to take, why, and what the others would cost or gain.

    said: the choice and its reason; doubt: how sure it is; learned: who is not surely better than a trivial answer, or
    empty (where that holds of what is taken, `said` begins with it). otherwise: what another score would choose, where
    that is told. score: of what is taken, corrected for having been chosen. front: the Pareto front of score, time to
    fit, latency and size. pairs: every two, compared.
    """

    take: str
    prefer: str
    metric: str
    margin: float
    said: str
    doubt: str
    learned: str
    head_start: str
    otherwise: str
    score: Interval
    front: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    pairs: tuple[Pair, ...]

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked of it: prefer, metric and margin."""
        return {"prefer": self.prefer, "metric": self.metric, "margin": self.margin}

    def as_json(self) -> dict[str, Any]:
        """As comparison.json keeps it."""
        return asdict(self)


def decide(
    tested: Mapping[str, Tested],
    costs: Mapping[str, Mapping[str, float]],
    pretrained: Collection[str],
    *,
    prefer: str = "accuracy",
    metric: str = "accuracy",
    margin: float = 0.01,
    trivial: Mapping[str, Tested] = NONE,
    dropped: Mapping[str, int] = NONE,
    without_leaks: bool = False,
) -> Verdict:
    """Choose a candidate by its score alone; how sure that is, is said beside it.

    tested: candidate -> the score by `metric`, image by image; without_leaks: test images with a duplicate in train or
    val are left out of it. costs: candidate -> fit_seconds, latency_ms and size_mb. pretrained: the candidates that
    start from pre-trained weights. prefer:
    "accuracy": the highest score or, of those at most `margin` below it that take HALF the time to fit or less, the
    quickest to fit; "fit-time", "latency", "size": the cheapest in that of those at most CLOSE below. trivial: answers
    that need no training, by a name that fits into a sentence. dropped: candidate -> the folds after which it was given
    up; it is not taken.
    """
    scores = {name: each.score for name, each in tested.items()}
    running = {name: each for name, each in tested.items() if name not in dropped}
    key = COSTS["fit-time" if prefer == "accuracy" else prefer][0]
    within, at_most = (margin, HALF) if prefer == "accuracy" else (CLOSE, 1.0)
    choice = partial(choose, cost={name: each[key] for name, each in costs.items()}, within=within, at_most=at_most)
    take = choice({name: scores[name] for name in running})
    pairs = tuple(all_differences(tested))
    alternatives = tuple(
        _alternative(take, name, pairs, costs, margin, dropped.get(name, 0))
        for name in sorted(scores, key=scores.__getitem__, reverse=True)
        if name != take
    )
    score = chosen_interval(running, choice)
    told = _score(score, scores[take], without_leaks)
    reason = _reason(take, prefer, _metric(metric), told, scores, costs, alternatives)
    nothing, learned = _learned(tested, trivial)
    return Verdict(
        take,
        prefer,
        metric,
        margin,
        f"{learned} {reason}" if take in nothing else reason,
        _doubt(take, alternatives, margin, dropped),
        "" if take in nothing else learned,
        head_start(scores, pretrained, pairs),
        "",
        score,
        front(scores, costs),
        alternatives,
        pairs,
    )


def beside(verdict: Verdict, other: Verdict, ratio: float) -> Verdict:
    """The same, and what is chosen by another score; ratio: how many times as large as the smallest class the largest
    is, which is why it is told."""
    told = f"{_metric(other.metric)} {_score(other.score)}"
    same = f"{other.take} would be taken, too: {told}."
    changed = f"{other.take} would be taken instead of {verdict.take}: {told}."
    said = f"The largest class has {ratio:.0f} times the images of the smallest; by {_metric(other.metric)} "
    return replace(verdict, otherwise=said + (same if other.take == verdict.take else changed))


def front(scores: Mapping[str, float], costs: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """The Pareto front: candidates that no other is as good as in everything and better in something."""
    values = {name: (-scores[name], *(costs[name][cost[0]] for cost in COSTS.values())) for name in scores}

    def beats(a: str, b: str) -> bool:
        return values[a] != values[b] and all(x <= y for x, y in zip(values[a], values[b], strict=True))

    return tuple(name for name in values if not any(beats(other, name) for other in values))


def head_start(scores: Mapping[str, float], pretrained: Collection[str], pairs: Sequence[Pair]) -> str:
    """The project's question, answered in a sentence where both kinds of candidate ran; else empty."""
    kinds = [[name for name in scores if (name in pretrained) == kind] for kind in (True, False)]
    if not all(kinds):
        return ""
    transfer, scratch = (max(names, key=scores.__getitem__) for names in kinds)
    difference = between(transfer, scratch, pairs)
    other = _named(scratch, difference)
    if difference.is_tie:
        return f"The pre-trained network gives no clear head start over {other}: {points(difference)}."
    if difference.mean < 0:
        return f"The pre-trained network gives no head start: {other} is better by {points(difference.turned())}."
    return f"The pre-trained network gives a head start of {points(difference)} over {other}."


def points(difference: Difference) -> str:
    """A difference in points of a percent, with its interval; hundredths only where they mean something."""
    digits = 2 if difference.high - difference.low < 0.02 else 1
    ends = (difference.mean, difference.low, difference.high)
    mean, low, high = (
        f"{round(100 * each, digits) + 0.0:.{digits}f}" for each in ends
    )  # 0.0 is added to have no "-0.0"
    return f"{mean} points (95 % interval {low} to {high})"


def _apart(difference: Difference, over: str, under: str) -> str:
    """The same without a sign: which of two words says where the first of the two is, or how the second."""
    return f"{points(difference)} {over}" if difference.mean >= 0 else f"{points(difference.turned())} {under}"


def _relation(difference: Difference, margin: float) -> str:
    """What the second of two is beside the first."""
    if difference.within(margin):
        return "tie"
    if difference.is_tie:
        return "open"
    return "worse" if difference.mean > 0 else "better"


def _alternative(
    take: str,
    other: str,
    pairs: Sequence[Pair],
    costs: Mapping[str, Mapping[str, float]],
    margin: float,
    dropped: int,
) -> Alternative:
    difference = between(take, other, pairs)
    relation = _relation(difference, margin)
    ratios = {cost[0]: costs[take][cost[0]] / max(costs[other][cost[0]], 1e-9) for cost in COSTS.values()}
    how = {
        "better": f"better by {points(difference.turned())}",
        "worse": f"worse by {points(difference)}",
        "tie": f"equal within {_margin(margin)}, {_apart(difference, 'lower', 'higher')}",
        "open": f"not told apart, {_apart(difference, 'lower', 'higher')}",
    }[relation]
    compared = ", ".join(_ratio(1 / ratios[key], what) for key, _, _, what, _ in COSTS.values())
    given_up = f"; clearly behind after {dropped} fold{'s' * (dropped > 1)}, and given up" if dropped else ""
    said = f"{_named(other, difference)}: {how}, {compared}{given_up}."
    return Alternative(other, difference, relation, ratios, said)


def _reason(
    take: str,
    prefer: str,
    metric: str,
    told: str,
    scores: Mapping[str, float],
    costs: Mapping[str, Mapping[str, float]],
    alternatives: Sequence[Alternative],
) -> str:
    """The choice and why it is made, in a sentence or two; told: its score."""
    if not alternatives:
        return f"{take} is the only strategy that ran: {metric} {told}."
    against = {each.strategy: each for each in alternatives}
    best = max([take, *against], key=scores.__getitem__)
    if prefer != "accuracy":
        key, unit, digits, _, called = COSTS[prefer]
        highest = f"{best} has it, {_percent(scores[best])}"
        return (
            f"{take} is the {called} ({costs[take][key]:.{digits}f} {unit}) of those within {_margin(CLOSE)} of the "
            f"highest {metric}{f' ({highest})' if take != best else ''}: {told}."
        )
    if take != best:
        below = f"{100 * (scores[best] - scores[take]):.1f} points"
        return (
            f"{best} has the highest {metric}, {_percent(scores[best])}. {take} is only {below} below and takes "
            f"{_ratio(against[best].ratios[FIT], 'the time to fit')}: take {take}, {told}."
        )
    return f"{take} has the highest {metric}: {told}."


def _doubt(take: str, alternatives: Sequence[Alternative], margin: float, dropped: Collection[str]) -> str:
    """How sure it is that nothing is better than what is taken, and of what that speaks."""
    said = []
    for relation in ("better", "worse", "open", "tie"):
        found = [each for each in alternatives if each.relation == relation]
        if not found:
            continue
        difference = found[0].difference
        it, first, *more = (_named(name, difference) for name in (take, *(each.strategy for each in found)))
        rest = f" and than {_listed(more)}" if more else ""
        said.append(
            {
                "better": f"{_listed([first, *more])} {'are' if more else 'is'} surely better than {it}, "
                f"{f'{first} ' * bool(more)}by {points(difference.turned())}.",
                "worse": f"{it} is surely better than {first}, by {points(difference)}{',' * bool(more)}{rest}.",
                "open": f"These images do not tell {it} from {_listed([first, *more])}: it is "
                f"{_apart(difference, 'above', 'below')} {first}.",
                "tie": f"{it} and {_listed([first, *more])} are equal within {_margin(margin)}: it is "
                f"{_apart(difference, 'above', 'below')} {first}.",
            }[relation]
        )
    if any(each.difference.speaks_of == NETWORKS for each in alternatives if each.strategy not in dropped):
        said.append("That is said of these networks, each trained once; folds or more seeds tell of the strategies.")
    return " ".join(said)


def _learned(tested: Mapping[str, Tested], trivial: Mapping[str, Tested]) -> tuple[Collection[str], str]:
    """The candidates that are not surely better than each trivial answer, and the sentence that says so."""
    confidence = 1 - 2 * ERROR / len(tested)  # of an interval of which one end counts
    unbeaten = {
        name: answer
        for name, each in tested.items()
        for answer in sorted(trivial, key=lambda answer: trivial[answer].score)
        if paired_difference(each, trivial[answer], confidence).low <= 0
    }
    if not unbeaten:
        return (), ""
    answer = max(unbeaten.values(), key=lambda answer: trivial[answer].score)
    beside = f"surely better than {answer}, {_percent(trivial[answer].score)}."
    if 1 < len(unbeaten) == len(tested):
        return unbeaten, f"No strategy has learned anything that shows: none is {beside}"
    have, are = ("have", "they are") if len(unbeaten) > 1 else ("has", "it is")
    return unbeaten, f"{_listed(list(unbeaten))} {have} learned nothing that shows: {are} not {beside}"


def _named(candidate: str, difference: Difference) -> str:
    """The candidate, or its one network where that is all that a difference speaks of."""
    return f"{candidate}'s network" if difference.speaks_of == NETWORKS else candidate


def _score(score: Interval, measured: float = 0.0, without_leaks: bool = False) -> str:
    """A score with its interval, what it is without what was taken off for having been chosen, and of which images."""
    lucky = f"; measured {_percent(measured)}, but the best of several is partly lucky"
    off = lucky if measured - score.value > LUCK else ""
    of = "; images with a duplicate in train or val are left out" if without_leaks else ""
    return f"{_percent(score.value)} (95 % interval {100 * score.low:.1f} to {100 * score.high:.1f}{off}{of})"


def _metric(metric: str) -> str:
    """A row of METRICS, as a sentence has it."""
    return metric.replace("-", " ").replace("f1", "F1")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _margin(margin: float) -> str:
    return f"{100 * margin:g} point{'s' * (margin != 0.01)}"


def _listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _ratio(ratio: float, what: str) -> str:
    return f"{ratio:.1f} times {what}" if ratio >= 0.095 else f"{ratio:.2f} times {what}"
