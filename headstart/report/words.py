"""Sentences that the page and the slides share."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.report import count, percent

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
