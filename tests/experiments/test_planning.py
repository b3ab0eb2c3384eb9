from __future__ import annotations

from types import SimpleNamespace

import pytest

import headstart as hs
from headstart.cli import make_parser
from headstart.experiments import planning
from headstart.experiments.planning import Plan, epochs_within, size_within
from headstart.results import runs


def test_as_many_whole_epochs_as_fit_and_one_at_least():
    assert epochs_within(100, 30) == 3
    assert epochs_within(90, 30) == 3
    assert epochs_within(10, 30) == 1
    assert epochs_within(-10, 30) == 1


def test_the_image_size_shrinks_until_what_grows_with_it_fits():
    assert size_within(100, 100, 160) == 160
    assert size_within(99, 100, 160) == 128
    assert size_within(20, 100, 160) == 64  # (96 / 160) ** 2 * 100 is 36, (64 / 160) ** 2 * 100 is 16


def test_no_size_is_small_enough_then_the_smallest_is_taken():
    assert size_within(1, 1000, 224) == 64


def on_backbone(tiny, freezing, unfrozen):
    """A backbone at 160 pixels that takes 10 ms an image, and the strategies on it."""
    engine = {"setup_seconds": 0.0, "image_seconds": 0.01}
    cuts = dict.fromkeys(freezing, 3) | dict.fromkeys(unfrozen, 0)
    pretrained = SimpleNamespace(backbone=SimpleNamespace(image_size=160), cuts=cuts, freezing=freezing, engine=engine)
    return [hs.STRATEGIES[name] for name in cuts], tiny, pretrained


def test_the_frozen_pass_takes_half_of_the_time_of_those_who_share_it_at_most(tiny):
    case = on_backbone(tiny, ["frozen", "last20"], [])  # 2 views of 96 + 30 + 2 views of 30 images: 2.82 s
    assert planning.affordable_size(5.7 / 0.95, *case) == 160
    assert planning.affordable_size(5.6 / 0.95, *case) == 128


def test_an_epoch_of_what_freezes_nothing_takes_a_quarter_of_its_time_at_most(tiny):
    case = on_backbone(tiny, [], ["full"])  # an epoch costs three passes of 96 images: 2.88 s
    assert planning.affordable_size(11.6 / 0.95, *case) == 160
    assert planning.affordable_size(11.5 / 0.95, *case) == 128


def test_the_size_is_one_that_all_can_afford(tiny):
    both = on_backbone(tiny, ["frozen"], ["full"])
    assert planning.affordable_size(2 * 11.6 / 0.95, *both) == 160
    assert planning.affordable_size(2 * 11.5 / 0.95, *both) == 128


def test_a_size_below_all_others_stays():
    assert size_within(1, 1000, 48) == 48


def test_a_plan_counts_the_pass_once_and_the_rest_for_every_seed():
    assert Plan("frozen", epochs=3, epoch_seconds=2, pass_seconds=10, test_seconds=1).seconds(seeds=2) == 10 + 2 * (
        6 + 1
    )


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h5s", 7205)])
def test_times_are_read(text, seconds):
    assert make_parser().parse_args(["compare", "--time-limit", text]).time_limit == seconds


def test_a_limit_becomes_a_plan_that_is_shown_kept_and_followed(tiny, tmp_path, capfd):
    result = hs.compare(
        tiny,
        ["base-cnn", "frozen"],
        backbone="tf_efficientnet_lite0.in1k",
        time_limit=6,
        offline=True,
        device="cpu",
        output=tmp_path / "out",
    )
    shown = capfd.readouterr().err
    assert "plan for 6 s" in shown
    for run in result.runs:
        plan = run.config["plan"]
        assert plan["strategy"] in shown
        assert run.config["strategy"]["recipe"]["epochs"] == plan["epochs"] >= 1
        assert run.metrics["epochs"] <= plan["epochs"]


def test_measuring_leaves_the_network_as_it_was(tiny):
    from headstart.runtime.device import make_fabric
    from headstart.training.preparation import from_scratch

    strategy, fabric = hs.STRATEGIES["base-cnn"], make_fabric("cpu")
    prepared = from_scratch(strategy, tiny, fabric.device)
    before = {name: value.clone() for name, value in prepared.network.state_dict().items()}
    epoch_seconds, test_seconds = planning.measure(strategy, prepared, tiny, fabric)
    assert epoch_seconds > 0 < test_seconds
    assert all((value == before[name]).all() for name, value in prepared.network.state_dict().items())


def test_without_a_limit_there_is_no_plan(tiny, tmp_path):
    result = hs.compare(tiny, ["base-cnn"], epochs=1, device="cpu", output=tmp_path / "out")
    assert runs.Run(result.runs[0].folder).config["plan"] is None
