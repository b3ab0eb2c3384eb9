"""Several backbones in one comparison: all probed frozen, the best retrained, and what has no part in it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import headstart as hs
from headstart.cli import main
from headstart.errors import HeadstartError
from headstart.evaluation.scores import SCORES
from headstart.experiments import runner, stages
from headstart.experiments.found import find_backbones
from headstart.models import backbones
from headstart.networks import SIZES
from headstart.options import Options
from headstart.report.words import absent, ranked
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.results.files import read_json
from headstart.results.probed import rank
from headstart.results.verification import verify

NAMES = ("test_resnet.r160_in1k", "test_efficientnet.r160_in1k", "test_convnext.r160_in1k")
STRATEGIES = ["base-cnn", "frozen", "last20"]
OPTIONS = {"strategies": STRATEGIES, "image_size": 32, "epochs": 2, "offline": True, "device": "cpu", "wise": True}


@pytest.fixture(scope="module", autouse=True)
def at_hand(tmp_path_factory):
    """Weights, at random, of three tiny networks that lie here as if the hub had given them; no others do."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name in NAMES:
        save_file(timm.create_model(name).state_dict(), folder / f"{name}.safetensors")

    def here(name: str) -> tuple[Path, str] | None:
        file = folder / f"{name}.safetensors"
        return (file, f"hub timm/{name}") if file.exists() else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "weights_here", here)
        yield folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny):
    """Three backbones, one of them named twice; what was said."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for module in ("found", "stages"):
            patch.setattr(f"headstart.experiments.{module}.say", said.append)
        output = tmp_path_factory.mktemp("several") / "out"
        return hs.compare(tiny, backbone=[*NAMES, NAMES[0]], **OPTIONS, output=output), said


def test_all_are_probed_and_the_best_two_on_val_retrained(compared):
    comparison, _ = compared
    probes = [f"frozen@{name}" for name in NAMES]
    assert {each.candidate for each in comparison.probed} == set(probes)
    scores = {each.backbone: each.score for each in comparison.probed}
    for name, probe in zip(NAMES, probes, strict=True):
        logits, labels, _ = runs.Run(comparison.folder / probe / "holdout-seed0").predictions("val")
        assert scores[name] == pytest.approx((logits.argmax(axis=1) == labels).mean())
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    kept = {each.backbone for each in comparison.probed if each.is_kept}
    assert len(kept) == 2
    trained = {run.candidate for run in comparison.runs}
    assert trained == {"base-cnn", *probes, *(f"last20@{name}" for name in kept)}
    assert comparison.is_complete and verify(comparison.folder) == []
    names = [trial["candidate"] for trial in read_json(comparison.folder / "request.json")["trials"]]
    assert sorted(names) == sorted(trained)


def test_all_candidates_that_were_tested_enter_the_correction(compared):
    comparison, _ = compared
    assert len(comparison.verdict.pairs) == 6 * 5 / 2


def test_what_was_dropped_and_how_sure_that_is_stands_everywhere(compared, capsys):
    comparison, said = compared
    gone = next(each for each in comparison.probed if not each.is_kept)
    line = ranked(comparison.probed, "accuracy")[1]
    assert line.startswith(f"{gone.backbone} was dropped before it was retrained, {gone.lag} below ")
    assert "95 % interval" in line
    assert ("does not tell apart: --keep 3" in line) == gone.behind.is_tie
    assert line in said
    page = (comparison.folder / "report.html").read_text(encoding="utf-8")
    card = (comparison.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Which backbones were retrained" in page and gone.lag in page
    assert gone.lag in card
    saved = read_json(comparison.folder / "comparison.json")["probed"]
    assert [each["behind"] is None for each in saved] == [True, True, False]


def test_a_backbone_that_was_named_twice_is_said_and_taken_once(compared):
    _, said = compared
    assert f"{NAMES[0]} was named twice: it is taken once" in said


def test_going_on_keeps_the_choice(compared, tiny, monkeypatch):
    comparison, _ = compared
    monkeypatch.setattr(stages, "rank", lambda *asked: pytest.fail("it was chosen again"))
    lost = next(run for run in comparison.runs if run.candidate.startswith("last20"))
    (lost.folder / "metrics.json").unlink()
    lost.folder.rename(lost.folder.with_name("lost"))
    again = hs.compare(tiny, backbone=[*NAMES, NAMES[0]], **OPTIONS, output=comparison.folder)
    assert again.probed == comparison.probed
    assert {run.candidate for run in again.runs} == {run.candidate for run in comparison.runs}


def test_auto_goes_on_with_what_it_began_with(tiny, at_hand, tmp_path, monkeypatch):
    options = {**OPTIONS, "strategies": ["frozen"], "backbone": "auto", "output": tmp_path / "out"}
    monkeypatch.setattr(backbones, "EFFICIENTNET_LITE0", NAMES[1])
    began = hs.compare(tiny, **options)
    monkeypatch.setattr(backbones, "EFFICIENTNET_B0", NAMES[0])  # its weights can be had by now
    assert hs.compare(tiny, **options).rows == began.rows
    assert find_backbones(Options.of({"backbone": "auto"})).weights[0].name == NAMES[0]
    monkeypatch.setitem(SIZES, "small", NAMES[0])  # beside an alias of one, auto is the other
    both = {"weights": [{"name": NAMES[0]}, {"name": NAMES[1]}]}
    names = [each.name for each in find_backbones(Options.of({"backbone": ["small", "auto"]}), both).weights]
    assert names == [NAMES[0], NAMES[1]]


def test_of_one_backbone_nothing_is_called_otherwise_than_before(tiny, tmp_path):
    one = hs.compare(tiny, backbone=NAMES[0], **{**OPTIONS, "strategies": ["frozen"]}, output=tmp_path / "out")
    request = read_json(tmp_path / "out" / "request.json")
    assert [run.candidate for run in one.runs] == ["frozen"]
    assert request["options"]["backbone"] == NAMES[0] and "keep" not in request["options"]
    assert request["weights"]["name"] == NAMES[0]
    assert not {"probed", "missing", "failed"} & (request.keys() | read_json(tmp_path / "out/comparison.json").keys())


def test_each_backbone_that_was_retrained_keeps_its_own_best_mixture(compared):
    comparison, _ = compared
    mixtures = {run.candidate: run.metrics["mixtures"] for run in comparison.runs}
    kept = {each.backbone for each in comparison.probed if each.is_kept}
    assert {name for name, found in mixtures.items() if found} == {f"last20@{name}" for name in kept}
    for found in filter(None, mixtures.values()):
        accuracies = {row["share"]: row["accuracy"] for row in found["rows"]}
        assert found["kept"] == found["best"] and accuracies[found["best"]] == max(accuracies.values())


def test_one_that_memory_does_not_suffice_for_is_reported_and_the_others_go_on(tiny, tmp_path, monkeypatch):
    run_trial = runner.run_trial

    def short_of_memory(trial, *asked):
        if trial.candidate.name == f"frozen@{NAMES[1]}":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return run_trial(trial, *asked)

    monkeypatch.setattr(runner, "run_trial", short_of_memory)
    options = {**OPTIONS, "strategies": ["frozen", "last20"], "keep": 1}
    comparison = hs.compare(tiny, backbone=NAMES[:2], **options, output=tmp_path / "out")
    assert {run.candidate for run in comparison.runs} == {f"frozen@{NAMES[0]}", f"last20@{NAMES[0]}"}
    assert comparison.is_complete
    (said,) = absent(comparison)
    assert said.startswith(f"frozen@{NAMES[1]} failed") and "out of memory" in said
    assert "out of memory" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    monkeypatch.setattr(runner, "run_trial", run_trial)
    assert not hs.compare(tiny, backbone=NAMES[:2], **options, output=tmp_path / "out").failed


def test_where_nothing_else_is_finished_want_of_memory_is_raised(tiny, tmp_path, monkeypatch):
    def short_of_memory(*asked):
        raise MemoryError

    monkeypatch.setattr(runner, "run_trial", short_of_memory)
    with pytest.raises(HeadstartError, match="out of memory"):
        hs.compare(tiny, **{**OPTIONS, "strategies": ["base-cnn"]}, output=tmp_path / "out")


def test_of_weights_that_cannot_be_had_the_others_go_on_and_the_report_says_so(tiny, tmp_path):
    options = {**OPTIONS, "strategies": ["frozen"]}
    names = [NAMES[0], "resnet18.a1_in1k"]
    comparison = hs.compare(tiny, backbone=names, **options, output=tmp_path / "out")
    assert [run.candidate for run in comparison.runs] == ["frozen"]
    (said,) = absent(comparison)
    assert said.startswith("resnet18.a1_in1k is missing") and "--offline was given" in said
    assert "resnet18.a1_in1k is missing" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert hs.compare(tiny, backbone=names, **options, output=tmp_path / "out").missing == comparison.missing


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("test_resnet.r160_in1k resnet19", "no pretrained model 'resnet19'; similar: resnet1"),
        ("test_resnet.r160_in1k mobilenetv3_large_075", "mobilenetv3_large_075 cannot be had: timm names no weights"),
        ("tests", "it is a file or folder: name the data before --backbone"),
        ("test_resnet.r160_in1k small --weights w.safetensors", "are for one --backbone, and 2 were given"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(names, said, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr("headstart.experiments.found.load_backbone", lambda *asked: pytest.fail("too late"))
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--backbone", *names.split()])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_ends_too_soon_is_named_with_its_tensor(at_hand, tmp_path):
    whole = (at_hand / f"{NAMES[0]}.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HeadstartError, match=r"cut.safetensors cannot be read .*cut off in tensor [\w.]+; \d+ of \d+"):
        backbones.load_backbone(NAMES[0], 32, tmp_path / "cut.safetensors")


def test_an_image_in_the_val_of_several_folds_counts_once(compared):
    comparison, _ = compared
    found = [run for run in comparison.runs if run.candidate.startswith("frozen")]
    names = {run.candidate: run.candidate.split("@")[1] for run in found}
    rows, units = np.arange(30), np.arange(30)
    once = rank(found, names, {"holdout": rows}, units, SCORES["accuracy"], 1)
    twice = rank([*found, *found], names, {"holdout": rows}, units, SCORES["accuracy"], 1)
    assert once == twice and once[0].images == 30
    pairs = rank(found, names, {"holdout": rows}, units // 2, SCORES["accuracy"], 1)
    assert [each.score for each in pairs] == [each.score for each in once]
    wide, narrow = (each[1].behind.high - each[1].behind.low for each in (pairs, once))
    assert wide != narrow  # two of a unit count as one


def test_a_time_limit_plans_the_probes_and_then_what_is_kept(tiny, tmp_path):
    options = {**OPTIONS, "epochs": None, "time_limit": 60, "keep": 1}
    comparison = hs.compare(tiny, backbone=NAMES[:2], **options, output=tmp_path / "out")
    planned = {text.split("=")[0].split("#")[0] for text in read_json(tmp_path / "out" / "request.json")["plan"]}
    assert planned == {run.candidate for run in comparison.runs}
    assert sum(name.startswith("last20") for name in planned) == 1
    assert compare_runs(comparison.folder).probed == comparison.probed
