"""Sentences that the page and the slides share."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.report import count, percent
from headstart.results.comparison import Comparison
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
CAUTIONS = {
    "The test set was used once, after training.": "Early stopping, the learning rate and every other choice used the "
    "validation set.",
    "A confidence interval speaks of test images, and of seeds where there are several.": "It says how far the "
    "difference between two strategies could move if other test images of the same kind had been drawn and, where each "
    "ran with several seeds, other seeds. It says nothing about other training images or images of another kind.",
    "Not significant is not equal.": "What cannot be told apart differs by too little for this test set, at 5 % after "
    "Holm's correction for the number of pairs; then the quicker one is recommended.",
    "± is the standard deviation over seeds.": "It is that of single runs, not of their mean. One seed shows none, "
    "which does not mean that there is none.",
    "Retraining forgets.": "What a pre-trained network knew beyond this data is overwritten in part: for anything else "
    "take the original.",
    "Times and latencies belong to this machine.": "Accuracies carry over better than seconds do.",
}


def without_leaks(leaked: int, scores: Mapping[str, Mapping[str, float]]) -> str:
    """What the accuracies are without the test images that have duplicates in train or val; empty where none has."""
    if not leaked:
        return ""
    if not scores:
        return f"All {count(leaked)} test images have duplicates in train or val: none is left to score without them."
    told = ", ".join(f"{name} {percent(row['accuracy'])}" for name, row in scores.items())
    return f"Without the {count(leaked)} test images that have duplicates in train or val: {told}."


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
