from __future__ import annotations

import re
import time
from types import SimpleNamespace

import pytest
import torch

import headstart as hs
from headstart.cli import make_parser
from headstart.experiments import planning
from headstart.experiments.planning import CHECKED_SHARE, REPORT_SECONDS, Plan, Planner, epochs_within, size_within
from headstart.results import runs
from headstart.runtime.device import make_fabric
from headstart.strategies import Weights, candidates_of
from headstart.training.preparation import from_scratch


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


def planner(tiny, *names):
    """A plan for candidates on a backbone at 160 pixels that takes 10 ms an image."""
    weights = Weights("net", 160, "", "", "")
    pretrained = SimpleNamespace(
        backbone=SimpleNamespace(image_size=160),
        freezes=lambda strategy: bool(strategy.frozen_share),
        engine={"setup_seconds": 0.0, "image_seconds": 0.01},
    )
    rows = candidates_of([hs.STRATEGIES[name] for name in names], weights)
    return Planner(rows, tiny, pretrained, None, seeds=1, fabric=None)


def test_the_frozen_pass_takes_half_of_the_time_of_those_who_share_it_at_most(tiny):
    case = planner(tiny, "frozen", "last20")  # 2 views of 96 + 30 + 30 images: 3.12 s
    assert case.affordable_size(6.3 / 0.95) == 160
    assert case.affordable_size(6.2 / 0.95) == 128


def test_an_epoch_of_what_freezes_nothing_takes_a_quarter_of_its_time_at_most(tiny):
    case = planner(tiny, "full")  # an epoch costs three passes of 96 images: 2.88 s
    assert case.affordable_size(11.6 / 0.95) == 160
    assert case.affordable_size(11.5 / 0.95) == 128


def test_the_size_is_one_that_all_can_afford(tiny):
    both = planner(tiny, "frozen", "full")
    assert both.affordable_size(2 * 11.6 / 0.95) == 160
    assert both.affordable_size(2 * 11.5 / 0.95) == 128


def test_a_size_below_all_others_stays():
    assert size_within(1, 1000, 48) == 48


def test_a_plan_counts_the_pass_once_and_the_rest_for_every_seed():
    plan = Plan("frozen", epochs=3, epoch_seconds=2, pass_seconds=10, test_seconds=1)
    fit_seconds = 10 + 2 * 6
    assert plan.seconds(seeds=2) == pytest.approx((1 + CHECKED_SHARE) * fit_seconds + 2 * 1 + REPORT_SECONDS)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h5s", 7205)])
def test_times_are_read(text, seconds):
    assert make_parser().parse_args(["compare", "--time-limit", text]).time_limit == seconds


def test_a_limit_becomes_a_plan_that_is_shown_kept_and_followed(tiny, tmp_path, capfd):
    result = hs.compare(
        tiny,
        ["base-cnn", "frozen"],
        backbone="tf_efficientnet_lite0.in1k",
        time_limit=9,
        offline=True,
        device="cpu",
        output=tmp_path / "out",
    )
    shown = capfd.readouterr().err
    limit = int(re.search(r"plan for (\d+) s", shown)[1])
    assert 0 < limit <= 9  # less what finding backbone and data took
    for run in result.runs:
        plan = run.config["plan"]
        assert plan["candidate"] in shown
        assert run.config["strategy"]["recipe"]["epochs"] == plan["epochs"] >= 1
        assert run.metrics["epochs"] <= plan["epochs"]


def test_measuring_leaves_the_network_as_it_was(tiny):
    strategy, fabric = hs.STRATEGIES["base-cnn"], make_fabric("cpu")
    prepared = from_scratch(strategy, tiny, fabric.device)
    before = {name: value.clone() for name, value in prepared.network.state_dict().items()}
    epoch_seconds, test_seconds = planning.measure(strategy, prepared, tiny, fabric)
    assert epoch_seconds > 0 < test_seconds
    assert all((value == before[name]).all() for name, value in prepared.network.state_dict().items())


def test_the_limit_counts_from_when_it_was_asked_for(tiny, tmp_path, capfd):
    def slow():
        time.sleep(2)
        return tiny

    hs.compare(slow, ["base-cnn"], time_limit=30, device="cpu", output=tmp_path / "out")
    assert int(re.search(r"plan for (\d+) s", capfd.readouterr().err)[1]) <= 28


def test_noise_lies_on_the_device_that_images_will_lie_on(tiny):
    prepared = from_scratch(hs.STRATEGIES["base-cnn"], tiny, torch.device("cpu"))
    made = planning.noise(prepared, tiny, 4, ("identity",), torch.device("meta"))
    assert made.inputs.device.type == made.labels.device.type == "meta"


def test_without_a_limit_there_is_no_plan(tiny, tmp_path):
    result = hs.compare(tiny, ["base-cnn"], epochs=1, device="cpu", output=tmp_path / "out")
    assert runs.Run(result.runs[0].folder).config["plan"] is None
