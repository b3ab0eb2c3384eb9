from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from layout import misplaced
from matplotlib.figure import Figure
from PIL import Image
from small_runs import make_dataset, many

from headstart.report import drawing, figures
from headstart.report.reading import class_scores, mistakes
from headstart.report.reliability import reliability_diagram

MEASURED = (figures.accuracy_vs_time, figures.metrics, figures.class_scores, figures.curves)


def drawn(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawing.png(figure))).convert("L"))


def test_figures_leave_the_users_settings_and_pyplot_alone(make_comparison: Callable):
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    comparison, _ = make_comparison()
    figures.curves(comparison)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_confusion_says_the_most_frequent_mistake():
    matrix = np.array([[5, 3], [1, 7]])
    assert (
        figures.confusion_of(matrix, ["cat", "dog"], "frozen").get_suptitle()
        == "frozen most often takes cat for dog: 3 of 8"
    )
    assert mistakes(matrix, 5) == [(0, 1, 3), (1, 0, 1)]
    assert (
        figures.confusion_of(np.eye(2, dtype=int), ["cat", "dog"], "frozen").get_suptitle() == "frozen makes no mistake"
    )


def test_confusion_of_a_comparison_counts_all_seeds(make_comparison: Callable):
    comparison, dataset = make_comparison(("frozen",), seeds=(0, 1))
    texts = [text.get_text() for text in figures.confusion(comparison, "frozen").axes[0].texts]
    assert sum(int(text or 0) for text in texts) == 2 * len(dataset.test)


def test_a_class_without_test_images_is_an_empty_row():
    drawn(figures.confusion_of(np.array([[0, 0], [1, 7]]), ["cat", "dog"], "frozen"))


def test_accuracy_vs_time_names_every_strategy_and_the_most_accurate(make_comparison: Callable):
    comparison, _ = make_comparison(seeds=(0, 1))
    figure = figures.accuracy_vs_time(comparison)
    assert {text.get_text() for text in figure.axes[0].texts} == {"base-cnn", "deep-cnn", "frozen", "last20"}
    assert figure.get_suptitle().startswith(f"{comparison.table()['accuracy'].idxmax()} is the most accurate")


def test_curves_ring_the_epoch_with_the_lowest_loss_on_val(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",))
    history = comparison.runs[0].history
    ring = next(line for line in figures.curves(comparison).axes[0].lines if line.get_marker() == "o")
    assert ring.get_xdata() == [history["epoch"][history["val_loss"].idxmin()]]


def test_curves_stand_in_rows_on_a_page_and_in_columns_on_a_slide(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen", "last20"))
    titles = ["frozen: loss", "frozen: accuracy", "last20: loss", "last20: accuracy"]
    assert [axes.get_title("left") for axes in figures.curves(comparison).axes] == titles
    across = figures.curves(comparison, across=("frozen", "last20")).axes
    assert [axes.get_title("left") for axes in across] == [titles[place] for place in (0, 2, 1, 3)]


def test_class_scores_mark_what_the_runs_say(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen", "last20"), dataset=make_dataset(per_class=20), seeds=(0, 1))
    figure, scores = figures.class_scores(comparison), class_scores(comparison)
    for axes, key in zip(figure.axes, ("precision", "recall", "f1"), strict=True):
        marks = {line.get_label(): line.get_xdata() for line in axes.lines}
        assert all((marks[name] == scores[name][key]).all() for name in scores)
    hardest = int(scores[comparison.recommended]["f1"].argmin())
    assert figure.get_suptitle().startswith(f"{comparison.dataset['class_names'][hardest]} is hardest for")


def test_every_seed_has_a_dot_for_each_class(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",), dataset=make_dataset(per_class=20), seeds=(0, 1))
    axes = figures.class_scores(comparison).axes[1]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "."]
    recall = [[row["recall"] for row in run.metrics["per_class"]] for run in comparison.runs]
    assert np.array_equal(dots, recall)


def test_of_very_many_classes_the_hardest_are_shown(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",), dataset=make_dataset([f"kind {n}" for n in range(40)], per_class=4))
    figure = figures.class_scores(comparison)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    f1 = class_scores(comparison)["frozen"]["f1"]
    assert len(shown) == figures.MOST_CLASSES_COUNTED
    assert max(f1[int(name.split()[1])] for name in shown) <= np.sort(f1)[len(shown)]
    assert figure.get_suptitle().startswith("The 25 hardest of 40 classes")


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("width", [drawing.WIDTH, drawing.NARROW])
def test_no_text_leaves_its_figure_nor_meets_another(make_comparison: Callable, classes: int, width: float):
    dataset = make_dataset([f"a kind of name {n}" for n in range(classes)], per_class=20)
    comparison, _ = make_comparison(dataset=dataset)
    for draw in MEASURED:
        figure = draw(comparison, width)
        figure.suptitle("")
        assert misplaced(figure) == []


@pytest.mark.parametrize("width", [drawing.WIDTH, drawing.NARROW])
@pytest.mark.parametrize("count", [8, 10])
def test_many_candidates_fit_on_every_figure(make_comparison: Callable, count: int, width: float):
    comparison, _ = make_comparison(many(count), (0, 1), make_dataset(per_class=20))
    for draw in (*MEASURED, figures.unfreezing, figures.mixtures, reliability_diagram):
        figure = draw(comparison, width)
        figure.suptitle("")
        assert misplaced(figure) == [], draw.__name__


def test_a_mark_of_every_score_lies_within_its_panel(make_comparison: Callable):
    """A rare class that is never found lowers the means over classes far below accuracy."""
    comparison, _ = make_comparison(("base-cnn", "frozen"), (0, 1))
    rows = [row | {"recall_macro": 0.31, "precision_macro": None} for row in comparison.rows]
    panels = {axes.get_title("left"): axes for axes in figures.metrics(replace(comparison, rows=rows)).axes}
    accuracy, precision, recall = (panels[title] for title in ("accuracy", "precision", "recall"))
    low, high = recall.get_xlim()
    for axes, wanted in ((accuracy, comparison.rows), (recall, rows)):
        key = "accuracy" if axes is accuracy else "recall_macro"
        marks = [x for line in axes.lines for x in np.atleast_1d(line.get_xdata())]
        assert {row[key] for row in wanted} <= set(marks)
        assert all(low < x < high for x in marks)
    assert not precision.lines  # what was not measured


def test_a_single_candidate_and_uneven_seeds_can_be_drawn(make_comparison: Callable):
    comparison, _ = make_comparison(("base-cnn", "frozen", "last20"), (0, 1))
    uneven = [place for place, row in enumerate(comparison.rows) if (row["candidate"], row["seed"]) != ("frozen", 1)]
    single = [place for place, row in enumerate(comparison.rows) if row["candidate"] == "frozen"]
    for kept in (uneven, single, single[:1]):
        made = replace(
            comparison, rows=[comparison.rows[place] for place in kept], runs=[comparison.runs[place] for place in kept]
        )
        for draw in (*MEASURED, figures.unfreezing, reliability_diagram):
            drawn(draw(made))
