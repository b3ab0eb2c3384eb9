from __future__ import annotations

import re
from pathlib import Path

import pytest

import headstart
from headstart.cli import main, run
from headstart.errors import HeadstartError

PAGE = Path(headstart.__file__).parents[1] / "docs" / "commands.md"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What a command would be called with, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    calls = {}
    for command in ("compare", "predict", "check", "learning-curve"):
        monkeypatch.setitem(headstart.cli.COMMANDS, command, lambda **options: calls.update(options))

    def ask(command: str) -> dict:
        calls.clear()
        run(command.split())
        return dict(calls)

    return ask


def test_a_file_has_the_options_by_the_names_that_are_typed(asked, capsys):
    Path("headstart.toml").write_text(
        'time-limit = "10m"\noffline = true\nmargin = 0.02\n[compare]\nstrategies = ["frozen", "last20"]\n'
        '[predict]\naccuracy = "99%"\n'
    )
    found = asked("compare photos/")
    assert (found["time_limit"], found["offline"], found["margin"]) == (600, True, 0.02)
    assert (found["data"], found["strategies"]) == ("photos/", ["frozen", "last20"])
    assert found["typed"] == (
        "headstart compare photos/ --time-limit 10m --offline --margin 0.02 --strategies frozen last20"
    )
    assert capsys.readouterr().err == (
        "headstart.toml: --time-limit 10m --offline --margin 0.02 --strategies frozen last20\n"
    )
    assert asked("check photos/").keys() == {"typed", "data", "fix", "offline"}
    assert asked("predict run -- -1.jpg")["photos"] == ["-1.jpg"]
    assert asked("predict run a.jpg")["accuracy"] == 0.99


def test_what_is_typed_wins_then_the_command_then_the_top(asked):
    Path("headstart.toml").write_text('epochs = 3\nseed = 1\n[compare]\ntime-limit = "10m"\nseeds = [4, 5]\n')
    found = asked("compare")
    assert (found["time_limit"], found["seed"]) == (600, (4, 5))
    assert "epochs" not in found
    found = asked("compare --seed 7 --epochs 2")
    assert (found["epochs"], found["seed"]) == (2, (7,))
    assert "time_limit" not in found
    assert (asked("learning-curve")["epochs"], asked("learning-curve")["seed"]) == (3, (1,))
    assert asked("--no-config compare").keys() == {"typed", "data"}


def test_the_nearest_folder_that_says_something_is_read_and_paths_are_seen_from_it(asked, tmp_path, monkeypatch):
    (tmp_path / "headstart.toml").write_text('weights = "w.safetensors"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.ruff]\nbroken\n")
    monkeypatch.chdir(below)
    assert asked("compare")["weights"].resolve() == tmp_path / "w.safetensors"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.headstart]\nstrict = true\n")
    found = asked("compare")
    assert found["strict"]
    assert "weights" not in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("time-limt = '10m'", "headstart.toml: unknown option 'time-limt': did you mean 'time-limit'?"),
        ("time_limit = '10m'", "did you mean 'time-limit'?"),
        ("accuracy = 0.9", "accuracy is of predict alone: write it under [predict]"),
        ("[comapre]\nseeds = 3", "unknown option 'comapre': did you mean 'compare'?"),
        ("[compare]\nbackbon = 'small'", "[compare] has an unknown option 'backbon': did you mean 'backbone'?"),
        ("compare = 3", "compare is a command: its options are a table, [compare]"),
        ("offline = 'yes'", "offline: 'yes' is neither true nor false"),
        ("epochs = [1, 2]", "epochs: [1, 2] are several: it takes one"),
        ("group = true", "group: True is neither a text nor a number"),
        ("log = [true]", "log: [True] is neither a text nor a number, nor several of them"),
        ("epochs = ", "headstart.toml cannot be read as TOML"),
    ],
)
def test_what_no_command_has_is_refused_with_the_near_name(asked, content, said):
    Path("headstart.toml").write_text(content)
    with pytest.raises(HeadstartError) as refused:
        asked("compare")
    assert said in str(refused.value)


def test_a_wrong_value_is_refused_as_if_typed_and_names_the_file(asked, capsys):
    Path("headstart.toml").write_text("time-limit = 'soon'")
    with pytest.raises(SystemExit) as ended:
        asked("compare")
    assert ended.value.code == 2
    assert "headstart compare: headstart.toml: argument --time-limit: 'soon' is neither" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:  # help can be had whatever the file says
        main(["compare", "--help"])
    assert ended.value.code == 0


def test_the_file_that_the_page_shows_is_read(asked):
    (shown,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    Path("headstart.toml").write_text(shown)
    assert asked("compare")["backbone"] == ["small"]


def test_a_place_behind_a_list_is_the_place_with_a_file_too(asked):
    Path("photos").mkdir()
    without = asked("compare --strategies frozen last20 photos")
    Path("headstart.toml").write_text('time-limit = "10m"\n')
    found = asked("compare --strategies frozen last20 photos")
    assert (
        (found["data"], found["strategies"])
        == (without["data"], without["strategies"])
        == ("photos", ["frozen", "last20"])
    )
    assert found["time_limit"] == 600


@pytest.mark.parametrize("text", ['[tool]\nheadstart = "x"\n', "tool = 1 # headstart\n"])
def test_a_project_file_that_has_no_table_for_it_is_a_line_or_nothing(text, asked):
    Path("pyproject.toml").write_text(text)
    if "[tool]" in text:
        with pytest.raises(HeadstartError, match=r"pyproject.toml: tool.headstart is no table"):
            asked("compare photos")
    else:
        assert asked("compare photos")["data"] == "photos"
