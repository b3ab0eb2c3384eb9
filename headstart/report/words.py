"""Sentences that the page and the slides share."""

from __future__ import annotations

QUESTION = "Does a pre-trained network give a head start on {}, and how much of it is worth retraining?"
FORGETTING = (
    "The head that the backbone was pre-trained with is put back on the retrained backbone and asked about test images "
    "of this data, as it was asked before training; no image of the pre-training is used. It tells how far the network "
    "has moved on these images, not how good it still is at what it once learned, and the first of very many classes "
    "turns over easily: read the columns together."
)
CAUTIONS = {
    "Test was touched once, after training.": "Early stopping, the learning rate and every other choice used val.",
    "A confidence interval speaks of test images, and of seeds where there are several.": "It says how far the "
    "difference between two strategies could move if other test images of the same kind had been drawn and, where each "
    "ran with several seeds, other seeds. It says nothing about other training images or images of another kind.",
    "A tie is not equality.": "It means that this test set is too small to tell two strategies apart; then the quicker "
    "one is recommended.",
    "± is the standard deviation over seeds.": "It is that of single runs, not of their mean. One seed shows none, "
    "which does not mean that there is none.",
    "Retraining forgets.": "What a pre-trained network knew beyond this data is overwritten in part: for anything else "
    "take the original.",
    "Times and latencies belong to this machine.": "Accuracies carry over better than seconds do.",
}
