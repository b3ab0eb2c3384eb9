from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from headstart.errors import HeadstartError
from headstart.experiments.trackers import TRACKERS
from headstart.inference.formats import FORMATS
from headstart.options import EXPORTED, OF_DATA, OF_RESULT, TRACKED, USUAL_LIMIT, Options
from headstart.values import NO_LIMIT, days


def test_every_option_has_a_help_and_a_default_that_passes_its_own_check():
    for each in fields(Options):
        assert each.metadata["help"]
    assert Options() == Options.of({})


def test_what_options_name_is_what_there_is():
    assert list(EXPORTED) == list(FORMATS)
    assert list(TRACKED) == list(TRACKERS)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"seed": 3}, (3,)),
        ({"seed": [2, 1]}, (2, 1)),
        ({"seed": np.int64(4)}, (4,)),
        ({"time_limit": "1h30m"}, 5400.0),
        ({"time_limit": 90}, 90.0),
        ({"time_limit": "none"}, "none"),
        ({"plan": "last20=4,size=160"}, ("last20=4,size=160",)),
        ({"max_bad": "5%"}, 0.05),
        ({"weights": "net.safetensors"}, Path("net.safetensors")),
        ({"log": "mlflow"}, ("mlflow",)),
        ({"strategies": ["frozen", "frozen"]}, ("frozen",)),
    ],
)
def test_values_are_read_as_a_person_gives_them(given, found):
    (name,) = given
    assert getattr(Options.of(given), name) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epoch": 3}, "unknown option 'epoch': did you mean 'epochs'?"),
        ({"strategy": ["frozen"]}, "unknown option 'strategy': did you mean 'strategies'?"),
        ({"strategies": ["frozn"]}, "unknown strategy 'frozn': did you mean 'frozen'?"),
        ({"strategies": []}, "no strategy given"),
        ({"epochs": 0}, "epochs: 0 is not a whole number of 1 or more"),
        ({"epochs": 2.5}, "epochs: 2.5 is not a whole number"),
        ({"epochs": True}, "epochs: True is not a whole number"),
        ({"image_size": 16}, "image_size: 16 is not a whole number of 32 or more"),
        ({"seed": []}, "is not one or more different seeds"),
        ({"seed": [1, 1]}, "is not one or more different seeds"),
        ({"seed": 2**32}, "is not a whole number of 0 or more, and 4294967295 at most"),
        ({"time_limit": 0}, "is neither a time such as"),
        ({"time_limit": float("nan")}, "is neither a time such as"),
        ({"time_limit": 60, "epochs": 2}, "give one of the two, not both"),
        ({"time_limit": "10m", "epochs": 2}, "give one of the two, not both"),
        ({"plan": ["frozen=2,views=0"]}, "is not a plan"),
        ({"strategies": ["frozen"], "plan": ["last20=2"]}, "the plan is of last20, which is none of the strategies"),
        ({"max_bad": 1.5}, "is not a share"),
        ({"prefer": "beauty"}, "prefer: 'beauty' is none of accuracy, fit-time, latency, size"),
        ({"class_weights": "equal"}, "class_weights: 'equal' is none of none, balanced"),
        ({"device": "tpu"}, "device: 'tpu' is none of auto, cpu, cuda"),
        ({"strict": "yes"}, "strict: 'yes' is neither True nor False"),
        ({"weights": 3}, "weights: 3"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_option(given, said):
    with pytest.raises(HeadstartError) as refused:
        Options.of(given)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_options_that_only_tell_are_not_those_that_a_result_depends_on():
    names = {each.name for each in fields(Options)}
    assert {*OF_DATA, *OF_RESULT} <= names
    assert not {"output", "log", "strict", "prefer", "command", "offline"} & set(OF_RESULT)


def test_ages_are_read_in_days():
    assert days("30d") == 30 * 86_400
    assert days("90s") == 90


def test_the_usual_limit_gives_way_to_what_was_asked():
    assert Options().limit() == USUAL_LIMIT
    assert Options().limit(usual=None) is None
    assert Options(time_limit=90).limit(usual=None) == 90
    assert Options(time_limit=NO_LIMIT).limit() is None
    assert Options(epochs=3).limit() is None
    assert Options(plan="last20=4").limit() is None


def test_a_path_that_the_shell_left_alone_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert Options(output="~/runs/1", data_dir="~", weights="~/w.pth").as_json()["output"] == "/home/me/runs/1"
    with pytest.raises(HeadstartError, match="output: 3 is not a path"):
        Options(output=3)
