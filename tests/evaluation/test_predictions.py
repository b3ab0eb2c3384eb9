from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from headstart.evaluation.predictions import Predictions, balance, f1s, kappa, mcc, precisions, recalls, top5


def said(labels, predicted, classes=4, confidence=5.0):
    return Predictions(confidence * np.eye(classes)[predicted], np.asarray(labels), "abcdefghijklmnopqrst"[:classes])


@pytest.fixture(params=["all classes", "one absent", "one never predicted", "one absent but predicted"])
def found(request):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4 if request.param in ("all classes", "one never predicted") else 3, 80)
    predicted = np.where(rng.random(80) < 0.7, labels, rng.integers(0, 3, 80))
    predicted[:2] = 3 if request.param in ("all classes", "one absent but predicted") else 0
    if request.param == "one never predicted":
        predicted[predicted == 3] = 1
    return said(labels, predicted)


def test_what_images_contribute_means_to_scikit_learns_scores(found):
    macro = {"average": "macro", "zero_division": 0}
    assert precisions(found).mean() == pytest.approx(metrics.precision_score(found.labels, found.predicted, **macro))
    assert f1s(found).mean() == pytest.approx(metrics.f1_score(found.labels, found.predicted, **macro))
    kept = np.isin(found.predicted, found.labels)  # of the others scikit-learn warns
    assert recalls(found).mean() == pytest.approx(
        metrics.recall_score(found.labels, found.predicted, labels=np.unique(found.labels), average="macro")
    )
    if kept.all():
        assert recalls(found).mean() == pytest.approx(metrics.balanced_accuracy_score(found.labels, found.predicted))


def test_agreement_beyond_chance_is_scikit_learns(found):
    assert kappa(found) == pytest.approx(metrics.cohen_kappa_score(found.labels, found.predicted))
    assert mcc(found) == pytest.approx(metrics.matthews_corrcoef(found.labels, found.predicted))


def test_where_there_is_one_class_only_nothing_is_beyond_chance():
    always = said([1, 1, 1], [1, 1, 1])
    assert (kappa(always), mcc(always)) == (0, 0)
    assert mcc(said([0, 1, 2], [1, 1, 1])) == 0


@pytest.mark.parametrize(("contributions", "score"), [(f1s, metrics.f1_score), (precisions, metrics.precision_score)])
def test_an_image_contributes_what_the_score_would_change_by_if_there_were_more_of_it(contributions, score):
    rng = np.random.default_rng(1)
    labels, more = rng.integers(0, 3, 300), 1e-4
    predicted = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 3, 300))
    of_image = contributions(said(labels, predicted, 3))
    for image in range(5):
        weights = np.ones(300)
        weights[image] += more
        before, after = (score(labels, predicted, average="macro", sample_weight=each) for each in (None, weights))
        assert of_image[image] == pytest.approx(before + 300 * (after - before) / more, rel=1e-2, abs=1e-3)


def test_classes_weigh_alike_whatever_their_size():
    weights = balance(np.array([0, 0, 0, 2]))
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert weights.mean() == 1


def test_the_five_likeliest_are_asked_where_classes_are_many():
    rng = np.random.default_rng(2)
    logits, labels = rng.standard_normal((100, 12)), rng.integers(0, 12, 100)
    names = [str(place) for place in range(12)]
    assert top5(Predictions(logits, labels, names)) == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5))
    assert top5(Predictions(logits[:, :10], labels % 10, names[:10])) is None
