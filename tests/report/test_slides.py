from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from layout import drawn_texts, misplaced
from matplotlib.figure import Figure
from small_runs import HOSTILE, SEVEN, make_dataset, many
from torch import nn

from headstart.data.dataset import Dataset
from headstart.models import build
from headstart.report import images, percent
from headstart.report.slides import LAYERS, slides, write_slides
from headstart.report.words import decision
from headstart.results import runs
from headstart.results.comparison import Comparison

Whole = tuple[Comparison, Dataset]
TOPICS = ("Does a pre-trained", "The data", "From scratch", "Transfer", "How they were trained", "How each strategy")
TOPICS += ("Results", "is hardest for", "most often takes", "is the most accurate", "The verdict", "How sure that is")
TOPICS += ("careful about",)


def words(slide: Figure) -> str:
    return " ".join(text for text, _ in drawn_texts(slide))


def assert_well_laid_out(made: Sequence[Figure]) -> None:
    for slide in made:
        assert tuple(slide.get_size_inches()) == (9, 9 * 9 / 16)
        assert misplaced(slide) == []


@pytest.fixture(scope="module")
def made(whole: Whole) -> list[Figure]:
    return slides(whole[0])


def test_the_slides_tell_it_from_the_question_to_what_to_be_careful_about(whole: Whole, made: list[Figure]):
    assert len(made) == len(TOPICS)
    for slide, topic in zip(made, TOPICS, strict=True):
        assert topic in words(slide)
    assert decision(whole[0])[:40] in words(made[10])
    assert all(each.strategy in words(made[11]) for each in whole[0].verdict.alternatives)


def test_no_text_leaves_its_slide_nor_meets_another(made: list[Figure]):
    assert_well_laid_out(made)


@pytest.mark.parametrize("names", [("base-cnn",), ("last20",), ("deep-cnn", "frozen")])
def test_a_slide_with_nothing_to_say_is_left_out(make_comparison: Callable, names: tuple[str, ...]):
    comparison, _ = make_comparison(names)
    made = slides(comparison)  # from a folder without pictures, too
    assert 8 <= len(made) <= 13
    assert_well_laid_out(made)
    everything = " ".join(map(words, made))
    assert ("From scratch" in everything) == any(name.endswith("cnn") for name in names)
    assert ("Transfer:" in everything) == any(not name.endswith("cnn") for name in names)
    assert not [name for name in ("base-cnn", "deep-cnn", "last20") if name not in names and name in everything]


def test_every_strategy_there_is_has_room_and_what_the_old_head_says_is_told(make_comparison: Callable):
    comparison, _ = make_comparison(SEVEN)
    made = slides(comparison)
    assert_well_laid_out(made)
    transfer = next(slide for slide in made if "Transfer:" in words(slide))
    for name in ("frozen", "last20", "last50", "full"):
        assert f"agrees on {percent(comparison.forgetting[name]['agreement'], 0)}" in words(transfer)
    assert "random-init" not in words(transfer)


@pytest.mark.usefixtures("given_heats")
@pytest.mark.parametrize("count", [8, 10])
def test_of_many_candidates_each_has_room_on_a_slide_of_every_kind(make_comparison: Callable, count: int):
    names = many(count)
    comparison, dataset = make_comparison(names, (0, 1), make_dataset(per_class=20))
    images.keep_pictures(comparison, dataset)
    made = slides(comparison)
    assert_well_laid_out(made)
    assert min(text.get_fontsize() for slide in made for text in slide.texts) >= 7
    texts = [[text for text, _ in drawn_texts(slide)] for slide in made]

    def of_topic(*topics: str) -> list[str]:
        found = [each for each in texts if any(topic in " ".join(each) for topic in topics)]
        return list(itertools.chain.from_iterable(found))

    for topics in (("a head start on",), ("From scratch:", "Transfer:"), ("How they were trained",), ("Results:",)):
        told = ["".join(text.split()) for text in of_topic(*topics)]
        assert [told.count(name) for name in names] == [1] * count, topics
    curves = ["".join(title.split()) for title in of_topic("How each strategy learned")]
    assert all(curves.count(f"{name}:{what}") == 1 for name in names for what in ("loss", "accuracy"))


@pytest.mark.parametrize("classes", [HOSTILE, [f"a kind of name {number}" for number in range(60)]])
def test_hostile_and_many_class_names_fit(make_comparison: Callable, classes: Sequence[str]):
    comparison, dataset = make_comparison(("deep-cnn",), (0, 1), make_dataset(classes, per_class=6))
    images.keep_pictures(comparison, dataset)
    assert_well_laid_out(slides(comparison))


def test_the_pdf_is_made_from_the_run_folder_alone_without_torch_and_its_text_is_text(whole: Whole):
    folder = whole[0].folder
    code = "import sys; from headstart.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "slides", str(folder)]
    made = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == str(folder / runs.SLIDES)
    content = (folder / runs.SLIDES).read_bytes()
    assert len(re.findall(rb"/Type /Page\b", content)) == len(TOPICS)
    fonts = re.findall(rb"/Subtype /(\w+)", content)
    assert b"CIDFontType2" in fonts  # embedded TrueType
    assert b"Type3" not in fonts
    assert len(re.findall(rb"/FontFile2", content)) >= 1
    assert b"/ToUnicode" in content


def test_writing_them_again_changes_nothing(make_comparison: Callable):
    comparison, _ = make_comparison(("frozen",))
    assert write_slides(comparison).read_bytes() == write_slides(comparison).read_bytes()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_layers_drawn_are_those_of_the_network(kind: str):
    spec = {"kind": kind, "channels": 3, "image_size": 32, "classes": 10}
    modules = list(build.from_spec(spec).modules())
    found = [
        "pool" if "Pool" in type(module).__name__ else f"{module.weight.shape[0]}"
        for module in modules
        if "Pool" in type(module).__name__ or isinstance(module, nn.Conv2d | nn.Linear)
    ]
    assert [text.split()[-1] for text in LAYERS[kind]] == found[:-1]  # the last one gives the classes
