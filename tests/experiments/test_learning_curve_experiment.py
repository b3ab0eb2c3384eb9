from __future__ import annotations

from typing import Any

import pytest
from small_curves import write_run

import headstart as hs
from headstart.cli import main
from headstart.experiments.learning_curve import chosen_sizes, learning_curve
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.verification import verify

OPTIONS = ["--strategies", "base-cnn", "--epochs", "1", "--device", "cpu"]


@pytest.fixture
def killed() -> set[int]:
    """At which training sizes `compare` is to be killed half way."""
    return set()


@pytest.fixture
def trained(monkeypatch, killed) -> list[dict[str, Any]]:
    """What `compare` was called for, in order; a stand-in for it trains nothing."""
    calls = []

    def compare(data, strategies, *, output, **options):
        size = len(data.train)
        assert not output.exists()
        calls.append({"size": size, "strategies": strategies, **options})
        for strategy in strategies:
            for seed in options["seed"]:
                write_run(output, strategy, seed, size, 0.9 - 10 / (size + 20))
        if size in killed:
            raise KeyboardInterrupt
        compare_runs(output, strategies).save()
        runs.write_checksums(output)

    monkeypatch.setattr("headstart.experiments.learning_curve.compare", compare)
    return calls


def sizes(calls: list[dict[str, Any]]) -> list[int]:
    return [call["size"] for call in calls]


def test_a_curve_is_trained_from_the_command_line_and_can_be_verified(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headstart.data.load.load", lambda *args, **options: tiny)
    main(["learning-curve", "--sizes", "24", "all", *OPTIONS])
    folder = tmp_path / "runs" / "tiny-curve-1"
    printed = capsys.readouterr().out
    assert "base-cnn: one more point would take" in printed or "less than one point is left" in printed
    assert "Figure: runs/tiny-curve-1/curve.png" in printed
    found = sorted(path.name for path in folder.iterdir())
    assert found == ["24", "96", "SHA256SUMS", "curve.csv", "curve.json", "curve.png"]
    assert [runs.read_json(folder / size / runs.COMPARISON)["dataset"]["train"] for size in ("24", "96")] == [24, 96]
    assert (folder / "24" / runs.REPORT).exists()
    assert verify(folder) == []
    (folder / "24" / runs.REPORT).write_text("better")
    assert verify(folder) == ["24/report.html is not as it was written: its SHA-256 differs"]


def test_every_size_is_an_ordinary_comparison_with_the_same_options(trained, tiny, tmp_path):
    curve = hs.learning_curve(
        tiny, ["all", 30, 10], ["frozen", "base-cnn"], seed=[1, 2], epochs=3, image_size=64, output=tmp_path / "curve"
    )
    assert sizes(trained) == [10, 30, 96]
    asked = {"strategies": ["base-cnn", "frozen"], "seed": [1, 2], "epochs": 3, "image_size": 64, "device": "auto"}
    for call in trained:
        assert call.items() >= asked.items()
    assert list(curve.comparisons) == [10, 30, 96]


def test_what_was_killed_goes_on_where_it_was(trained, killed, tiny, tmp_path):
    killed.add(30)
    with pytest.raises(KeyboardInterrupt):
        learning_curve(tiny, [10, 30, "all"], ["base-cnn"], output=tmp_path / "curve")
    killed.clear()
    first = (tmp_path / "curve" / "10" / runs.COMPARISON).stat().st_mtime_ns
    curve = learning_curve(tiny, [10, 30, "all"], ["base-cnn"], output=tmp_path / "curve")
    assert sizes(trained) == [10, 30, 30, 96]
    assert list(curve.comparisons) == [10, 30, 96]
    assert (tmp_path / "curve" / "10" / runs.COMPARISON).stat().st_mtime_ns == first


def test_a_finished_curve_takes_further_sizes(trained, tiny, tmp_path):
    learning_curve(tiny, [10, 96], ["base-cnn"], output=tmp_path / "curve")
    curve = learning_curve(tiny, [10, 50], ["base-cnn"], output=tmp_path / "curve")
    assert sizes(trained) == [10, 96, 50]
    assert list(curve.comparisons) == [10, 50, 96]
    assert runs.read_json(tmp_path / "curve" / runs.CURVE)["sizes"] == [10, 50, 96]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"epochs": 2}, "with epochs None, not 2"),
        ({"seed": 3}, r"with seeds \[0\], not \[3\]"),
        ({"strategies": ["frozen"]}, r"with strategies \['base-cnn'\], not \['frozen'\]"),
    ],
)
def test_another_curve_is_not_mixed_into_an_old_one(other, said, trained, tiny, tmp_path):
    options = {"strategies": ["base-cnn"], "output": tmp_path / "curve"}
    learning_curve(tiny, [10, 30], **options)
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(tiny, [10, 30, 96], **options | other)
    assert len(trained) == 2


def test_sizes_are_those_of_the_default_that_the_data_has_and_all(tiny):
    with pytest.raises(hs.HeadstartError, match="tiny with 96 training images gives 96 alone"):
        chosen_sizes(tiny)
    larger = hs.Dataset("larger", tiny.train.take([*range(96)] * 40), tiny.val, tiny.test, tiny.class_names, "f", "")
    assert chosen_sizes(larger) == [100, 300, 1000, 3000, 3840]
    assert chosen_sizes(tiny, ["all", 50, 96]) == [50, 96]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([50], "needs two sizes or more, and 1 was given"),
        ([96, "all"], "gives 96 alone"),
        ([2, 50], "between 3 training images .* and all 96: 2 is not"),
        ([50, 97], "between 3 training images .* and all 96: 97 is not"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_trained(given, said, trained, tiny, tmp_path):
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(tiny, given, ["base-cnn"], output=tmp_path / "curve")
    assert trained == []
    assert not (tmp_path / "curve").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strategies": ["last21"]}, "unknown strategy 'last21'"),
        ({"sizes": [50]}, "needs two sizes or more"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"seed": []}, "seeds must be one or more"),
    ],
)
def test_what_cannot_be_is_refused_before_the_data_is_asked_for(options, said):
    with pytest.raises(hs.HeadstartError, match=said):
        learning_curve(lambda: pytest.fail("data was asked for first"), **options)


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(hs.HeadstartError, match="is not an empty folder"):
        learning_curve(lambda: pytest.fail("data was asked for first"), output=tmp_path)
