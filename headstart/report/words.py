"""Sentences that the page and the slides share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headstart.report import count, percent
from headstart.results import runs
from headstart.results.comparison import Comparison
from headstart.results.probed import Probed
from headstart.results.request import read_request
from headstart.results.shortened import again
from headstart.results.shortened import shortened as left_out_of

QUESTION = "Does a pre-trained network give a head start on {}, and how much of it is worth retraining?"
FORGETTING = (
    "The head that the backbone was pre-trained with is put back on the retrained backbone and asked about test images "
    "of this data, as it was asked before training; no image of the pre-training is used. It tells how far the network "
    "has moved on these images, not how good it still is at what it once learned, and the first of very many classes "
    "turns over easily: read the columns together."
)
DIFFERENCES = (
    "Differences are to what is taken, in points, with intervals that all hold together in 95 % of cases (Bonferroni). "
    "p: how often a difference like that, or a larger one, would be seen if the two scored alike, times the number of "
    "pairs. Not told apart: these images do not say which is better; it does not mean equal."
)
CAUTIONS = {
    "No network is tested on what it was trained or chosen by.": "Early stopping, the learning rate and every other "
    "choice used the validation images. Test images are looked at once, after training.",
    "An interval says how far a number could move.": "If other test images of the same kind had been drawn and, where "
    "there are several seeds or folds, other networks been trained. All intervals of differences on this page hold "
    "together in 95 % of cases. They say nothing about images of another kind, nor of luck that all folds share.",
    "The choice and its doubt are two things.": "Taken is what scores highest, or what scores nearly as high at half "
    "the time. Whether these images are enough to be sure of it is said beside it: not told apart is not equal.",
    "± is the standard deviation over seeds or folds.": "It is that of single runs, not of their mean. One run shows "
    "none, which does not mean that there is none.",
    "Retraining forgets.": "What a pre-trained network knew beyond this data is overwritten in part: for anything else "
    "take the original.",
    "Times and latencies belong to this machine.": "Accuracies carry over better than seconds do.",
}


def decision(comparison: Comparison) -> str:
    """What whoever decides needs to know of the choice: how often it is right, why it is taken, and what pre-trained
    weights are worth."""
    verdict, accuracy = comparison.verdict, comparison.summary[comparison.recommended]["accuracy"]["mean"]
    of = next(each for each in (100, 1000, 10_000) if accuracy < 1 - 1.5 / each or each == 10_000)
    plain = f"It is right about {count(round(of * accuracy))} of {count(of)} images like these."
    if accuracy == 1:  # nobody believes all of those like these
        plain = "It is right about all of the images that were tested."
    return " ".join(filter(None, (plain, verdict.said, verdict.head_start, comparison.caution)))


def doubts(comparison: Comparison) -> str:
    """How sure the choice is, who has learned nothing, and what another score would choose; may be empty."""
    verdict = comparison.verdict
    return " ".join(filter(None, (verdict.doubt, verdict.learned, verdict.otherwise)))


def without_leaks(leaked: int, scores: Mapping[str, Mapping[str, float]]) -> str:
    """What the accuracies are without the test images that have duplicates in train or val; empty where none has."""
    if not leaked:
        return ""
    if not scores:
        return f"All {count(leaked)} test images have duplicates in train or val: none is left to score without them."
    told = ", ".join(f"{name} {percent(row['accuracy'])}" for name, row in scores.items())
    return f"Without the {count(leaked)} test images that have duplicates in train or val: {told}."


def folded(comparison: Comparison) -> list[str]:
    """How images were tested where there are folds, who was dropped, and which classifier to take home; else empty."""
    if not comparison.folds:
        return []
    about, verdict = comparison.dataset, comparison.verdict
    said = [
        f"{comparison.folds} folds: each of {count(about['test'])} images was tested by networks that had not seen it, "
        f"nor what is nearly the same; each network was trained on about {count(about['train'])} of them."
    ]
    for name, after in comparison.dropped.items():
        said.append(
            f"{name} was clearly behind after {after} fold{'s' * (after > 1)}, and was not trained on the others."
        )
    if comparison.classifier == comparison.folder / runs.CLASSIFIER:
        low, high = percent(verdict.score.low, 1), percent(verdict.score.high, 1)
        said.append(
            f"To take home: {comparison.recommended}, trained once more on all images, in {runs.CLASSIFIER}/. It was "
            f"tested by none; expect at least what the folds gave: {percent(verdict.score.value, 1)} ({low} to {high}; "
            f"{verdict.metric.replace('-', ' ')})."
        )
    return said


def ranked(probed: Sequence[Probed], metric: str) -> list[str]:
    """How several backbones were chosen from, what was dropped, and how sure that is; empty where there was one."""
    if not probed:
        return []
    kept, gone = [each for each in probed if each.is_kept], [each for each in probed if not each.is_kept]
    were = "backbones were" if len(probed) > 1 else "backbone was"
    first = f"{count(len(probed))} {were} tried frozen, and ranked on {count(probed[0].images)} images of val: "
    told = ", ".join(f"{each.backbone} {percent(each.score)}" for each in probed)
    said = [f"{first}{told} ({metric.replace('-', ' ')}). Retrained: {', '.join(each.backbone for each in kept)}."]
    for each in gone:
        told_apart = each.behind is not None and not each.behind.is_tie
        doubt = "" if told_apart else f", which val does not tell apart: --keep {len(kept) + 1} or more retrains it"
        said.append(
            f"{each.backbone} was dropped before it was retrained, {each.lag} below {kept[-1].backbone}{doubt}."
        )
    return said


def absent(comparison: Comparison) -> list[str]:
    """What was asked for and has no part in the comparison, and why, a sentence each."""
    missing = [f"{name} is missing: its weights could not be had ({why})." for name, why in comparison.missing.items()]
    return [*missing, *(f"{name} failed, and has no part in this: {why}." for name, why in comparison.failed.items())]


def sizes(comparison: Comparison) -> str:
    """How many images there are."""
    about = comparison.dataset
    if comparison.folds:
        return f"{count(about['test'])} in {comparison.folds} folds"
    return ", ".join(f"{count(about[part])} {part}" for part in ("train", "val", "test"))


def so_far(comparison: Comparison) -> str:
    """What each candidate gives, as far as it is known: accuracy on test, and its interval."""
    rows = {name: row["accuracy"] for name, row in comparison.summary.items()}
    return ", ".join(
        f"{name} {percent(row['mean'], 1)} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
        for name, row in rows.items()
    )


def shortened(comparison: Comparison) -> list[str]:
    """What was left out to keep a time limit, a sentence a candidate, and how to have the same, or all of it."""
    request = read_request(comparison.folder)
    left_out = left_out_of(comparison.runs, request)
    if not left_out:
        return []
    said = []
    for name, parts in left_out.items():
        expected = request["strategies"][name].get("expected") if request else None
        whole = f" Its whole recipe gave {percent(expected['accuracy'])} on CIFAR-10." if expected else ""
        said.append(f"{name}: {parts}.{whole}")
    return [
        *said,
        "All of it: --time-limit none.",
        f"The same again, without a clock: {again(comparison.runs, request)}",
    ]
