from __future__ import annotations

from types import SimpleNamespace

import pytest

from headstart.plan import Plan
from headstart.results.shortened import again, plans, shortened

RECIPE = {"recipe": {"epochs": 8, "views": ["identity", "mirror"]}}
REQUEST = {"strategies": {"last20": RECIPE}, "trials": [{"candidate": "last20"}]}


def run(plan, seed=0, command="headstart compare photos --time-limit 10m --output=out/1 --seeds 2"):
    return SimpleNamespace(candidate="last20", seed=seed, config={"plan": plan, "command": command})


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("last20=8", None),
        ("last20=4", "4 of 8 epochs"),
        ("last20=8,3:5.5", "5.5 of 8 epochs"),
        ("last20=4,5:8", None),
        ("last20=8,size=160,views=1", "images of 160 pixels a side, 1 of 2 views of each image"),
        (None, None),
        ({"candidate": "last20", "epochs": 4}, None),
    ],
)
def test_what_was_left_out_is_said(plan, said):
    assert shortened([run(plan)], REQUEST).get("last20") == said


def test_seeds_that_were_trained_alike_have_one_plan_and_others_one_each():
    assert plans([run("last20=4", 0), run("last20=4", 1)]) == ["last20=4"]
    assert plans([run("last20=4", 0), run("last20=4,2:3", 1)]) == ["last20#0=4", "last20#1=4,2:3"]


def test_the_command_that_does_the_same_again_has_no_clock():
    assert again([run("last20=4")]) == "headstart compare photos --seeds 2 --plan last20=4"


def test_what_was_left_out_altogether_is_said_and_left_out_again():
    request = REQUEST | {"strategies": {"last20": RECIPE, "full": RECIPE}}
    assert shortened([run("last20=8")], request) == {"full": "left out, as there was no time for a tenth of its epochs"}
    assert again([run("last20=8")], request) == "headstart compare photos --seeds 2 --plan last20=8 full=0"


def test_of_what_memory_did_not_suffice_for_it_is_not_said_that_time_was_short():
    strategies = dict.fromkeys(("frozen@a", "frozen@b", "last20@a", "last20@b"), RECIPE)
    trials = [{"candidate": name} for name in ("frozen@a", "frozen@b", "last20@a")]
    request = {"strategies": strategies, "trials": trials, "failed": {"frozen@b": "not enough memory"}, "probed": []}
    assert shortened([], request) == {}
    time_short = {"strategies": {"last20": RECIPE, "full": RECIPE}, "trials": [{"candidate": "last20"}]}
    assert list(shortened([], time_short | {"failed": {"last20": "not enough memory"}})) == ["full"]


def test_what_the_plan_leaves_out_is_not_said_to_have_had_no_time():
    request = REQUEST | {"strategies": {"last20": RECIPE, "full": RECIPE}, "options": {"plan": ["full=0"]}}
    assert shortened([], request) == {"full": "left out, as the plan says"}


def test_the_place_of_the_images_stays_where_it_was_typed():
    typed = "headstart compare --time-limit 5m --seeds 2 --strategies frozen last20 photos"
    wanted = "headstart compare --seeds 2 --plan last20=4 --strategies frozen last20 photos"
    assert again([run("last20=4", command=typed)]) == wanted


@pytest.mark.parametrize("sizes", ["--sizes 100 all", "--sizes=100"])
def test_of_a_size_of_a_learning_curve_it_is_a_comparison_with_so_many_images(sizes):
    made = run("last20=4", command=f"headstart learning-curve photos {sizes} --seeds 2 --time-limit 1h")
    made.config["dataset"] = {"train": 100}
    wanted = "headstart compare photos --seeds 2 --plan last20=4 --train-limit 100 --folds none"
    assert again([made]) == wanted


def test_from_python_it_is_an_option():
    assert again([run("last20=4", command=None)]) == "plan=['last20=4']"


@pytest.mark.parametrize("text", ["last20=4", "last20=0", "deep-cnn#3=9.25,3:7.5,5:7", "frozen=10,size=160,views=1"])
def test_a_plan_is_its_text(text):
    assert str(Plan.of(text)) == text


@pytest.mark.parametrize("text", ["last20", "last20=-1", "last20=4,size=", "=4", "last20=4;size=1", "a,b=1"])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(ValueError, match="is not a plan such as"):
        Plan.of(text)
