from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hub import READS, WRITES, serving
from huggingface_hub import constants
from small_data import coloured_part

import headstart as hs
from headstart.cli import main
from headstart.experiments.trial import Setting, Trial, run_trial
from headstart.report.card import write_card
from headstart.results import runs
from headstart.results.comparison import compare_runs
from headstart.strategies import candidates_of, with_epochs

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the hub's client's own


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny):
    """A finished comparison that says where on this machine its data lies."""
    folder = tmp_path_factory.mktemp("push")
    (candidate,) = candidates_of([with_epochs(hs.STRATEGIES["base-cnn"], 1)], ())
    setting = Setting(folder, "cpu", command="headstart compare /home/jane/colours")
    run_trial(Trial(candidate, "holdout", 0, setting), replace(tiny, source="/home/jane/colours"))
    comparison = compare_runs(folder)
    comparison.save()
    write_card(comparison)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the stand-in takes large files by LFS
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
        monkeypatch.setenv("HF_TOKEN", WRITES)
        yield hub


def push(capsys, *arguments):
    main(["push", *map(str, arguments)])
    return capsys.readouterr()


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["push", *map(str, arguments)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    return line


def test_card_weights_and_exports_arrive_whole_in_one_commit(folder, hub, tmp_path):
    (folder / runs.EXPORTS).mkdir()
    (folder / runs.EXPORTS / "model.onnx").write_bytes(bytes(range(256)) * 20)
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": WRITES}
    command = [sys.executable, "-m", "headstart", "push", str(folder), "jane/colours"]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    assert done.stdout == f"{hub.address}/jane/colours\n"
    said = done.stderr.splitlines()
    assert said[0] == "to everybody, as jane/colours, with its 3 class names:"
    assert [line.split()[-1] for line in said[1:]] == [
        "README.md",
        "config.json",
        "model.safetensors",
        "exports/model.onnx",
    ]
    files = hub.repositories["jane/colours"]["main"]
    run = runs.find_runs(folder)[0]
    assert files["README.md"] == (folder / runs.CARD).read_bytes()
    assert files["model.safetensors"] == run.model.read_bytes()
    assert files["exports/model.onnx"] == (folder / runs.EXPORTS / "model.onnx").read_bytes()
    assert len(hub.commits) == 1


def test_what_was_published_is_the_classifier_and_names_no_place_of_the_owners(folder, hub, capsys, tmp_path):
    push(capsys, folder, "jane/colours")
    files = hub.repositories["jane/colours"]["main"]
    assert all(b"jane" not in content for content in files.values())
    assert json.loads(files["config.json"])["command"] is None
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    images, _ = coloured_part(9, 32, 5)
    here, there = hs.Classifier.load(folder), hs.Classifier.load(tmp_path)
    assert np.array_equal(here.predict_proba(images), there.predict_proba(images))


def test_another_push_takes_away_exports_that_are_gone_and_nothing_else(folder, hub, capsys):
    hub.make("jane/colours")
    hub.repositories["jane/colours"]["main"] |= {"exports/old.onnx": b"old", "photo.jpg": b"hers"}
    push(capsys, folder, "jane/colours")
    ((branch, added, deleted),) = hub.commits
    assert (branch, deleted) == ("main", ["exports/old.onnx"])
    assert set(added) == {"README.md", "config.json", "model.safetensors"}
    assert hub.repositories["jane/colours"]["main"]["photo.jpg"] == b"hers"


def test_to_a_branch_main_stays_as_it_was(folder, hub, capsys):
    said = push(capsys, folder, "jane/colours", "--revision", "second")
    assert said.out == f"{hub.address}/jane/colours/tree/second\n"
    assert hub.repositories["jane/colours"]["main"] == {}
    assert "README.md" in hub.repositories["jane/colours"]["second"]


def test_private_is_kept_and_never_given_up_in_silence(folder, hub, capsys):
    assert "to those who may see jane/mine" in push(capsys, folder, "jane/mine", "--private").err
    assert "jane/mine" in hub.private
    hub.make("jane/open")
    assert "jane/open is there, and public" in refused(capsys, folder, "jane/open", "--private")
    assert hub.repositories["jane/open"]["main"] == {}


@pytest.mark.parametrize("name", ["colours", "a/b/c", "jane/", "/colours", "jane/a b", "jane/..", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(folder, hub, capsys, name):
    assert "is no name of a repository: USER/NAME" in refused(capsys, folder, name)
    assert hub.repositories == {}


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "the hub wants a token that may write: set HF_TOKEN, or run `hf auth login`"),
        ("forged", "the hub does not know this token"),
        (READS, "this token may not write to jane/colours"),
    ],
)
def test_without_a_token_that_may_write_nothing_is_published(folder, hub, capsys, monkeypatch, token, said):
    monkeypatch.delenv("HF_TOKEN") if token is None else monkeypatch.setenv("HF_TOKEN", token)
    line = refused(capsys, folder, "jane/colours")
    assert said in line
    assert token is None or token not in line
    assert hub.repositories == {}


def test_what_the_hub_says_is_one_line(folder, hub, capsys):
    hub.full = True
    assert "the hub refused jane/colours (507): The quota is exceeded." in refused(capsys, folder, "jane/colours")


def test_without_a_network_it_is_said_where_the_hub_was_looked_for(folder, hub, capsys, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    line = refused(capsys, folder, "jane/colours")
    assert "the hub at http://127.0.0.1:9 cannot be reached" in line


@pytest.mark.parametrize(
    ("gone", "said"),
    [(runs.CARD, "MODEL_CARD.md is missing: `headstart report"), (runs.MODEL, "no weights to publish")],
)
def test_what_is_missing_is_told_before_anything_is_asked(folder, hub, capsys, gone, said):
    for path in folder.rglob(gone):
        path.unlink()
    assert said in refused(capsys, folder, "jane/colours")
    assert hub.repositories == {}


def test_one_run_is_no_comparison(folder, hub, capsys):
    assert "name its comparison" in refused(capsys, runs.find_runs(folder)[0].folder, "jane/colours")
