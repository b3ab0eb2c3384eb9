"""What a notebook shows of a data set, a comparison and a curve: a table and the verdict, escaped and small."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from small_curves import write_curve
from small_data import dataset_of

import headstart as hs
from headstart.results.comparison import compare_runs
from headstart.results.learning_curve import read_curve

BAD = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """The tags of a page, in order, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.opened, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.opened.append(tag)

    def handle_data(self, data):
        self.text += data


def many_classes(count: int) -> hs.Dataset:
    part = np.zeros((count, 8, 8, 3), np.uint8), np.arange(count)
    names = [BAD, *(f"class {number} " + "long" * 99 for number in range(1, count))]
    return dataset_of(BAD, names, part, part, part, source=BAD)


def objects(tmp_path):
    curve = read_curve(write_curve(tmp_path / "curve"))
    return {"Dataset": many_classes(3), "Comparison": compare_runs(tmp_path / "curve" / "3000"), "Curve": curve}


def test_each_is_a_table_and_what_it_says_escaped_and_small(tmp_path):
    said = {
        "Dataset": "9 images of 8 x 8 pixels, 3 classes",
        "Comparison": "Take deep-cnn.",
        "Curve": "With 3,000 training images: take deep-cnn.",
    }
    for name, shown in objects(tmp_path).items():
        page = shown._repr_html_()
        tags = Tags(page)
        assert {"table", "td"} <= set(tags.opened) <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}, name
        assert said[name] in tags.text
        assert len(page) < 5000


@pytest.mark.parametrize("count", [3, 500])
def test_of_many_classes_some_are_shown_and_the_others_counted(count):
    page = many_classes(count)._repr_html_()
    assert ("480 more classes" in page) == (count == 500)
    assert BAD not in page
    assert len(page) < 8000
