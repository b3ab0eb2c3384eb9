from __future__ import annotations

import subprocess
import sys

import pytest

from headstart.cli import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "--strategies", "last21"], "unknown strategy 'last21': choose from base-cnn, deep-cnn"),
        (["compare", "--epochs", "-1"], "'-1' is not a whole number of 1 or more"),
        (["compare", "--epochs", "0"], "'0' is not a whole number of 1 or more"),
        (["compare", "--image-size", "0"], "'0' is not a whole number of 1 or more"),
        (["compare", "--image-size", "8"], "image size must be 32 pixels or more"),
        (["compare", "--train-limit", "many"], "'many' is not a whole number of 1 or more"),
        (["compare", "--seed", "-3"], "'-3' is not a whole number from 0"),
        (["compare", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["compare", "--data-dir", "no/such/folder"], "no/such/folder"),
        (["compare", "mnist"], "unknown data set 'mnist'"),
        (["compare", "--backbone", "resnet17"], "no pretrained model 'resnet17'"),
        (
            ["compare", "--backbone", "resnet18", "--weights", "nowhere.safetensors"],
            "nowhere.safetensors is not a file",
        ),
        (["compare", "--weights", "w.safetensors"], "needs --backbone NAME"),
        (["compere"], "invalid choice: 'compere'"),
        ([], "required: COMMAND"),
        (["show", "--epochs", "3"], "unrecognized arguments: --epochs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_argument_ends_in_one_clear_line_and_exit_code_2(arguments, said, capfd, monkeypatch, tiny, tmp_path):
    monkeypatch.chdir(tmp_path)
    if "mnist" not in arguments and "--data-dir" not in arguments:
        monkeypatch.setattr("headstart.data.load.load", lambda *args, **options: tiny)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    complaint = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart")]
    assert ended.value.code == 2
    assert len(complaint) == 1
    assert said in complaint[0]
    assert "Traceback" not in complaint[0]
    assert not (tmp_path / "runs").exists()


def test_the_module_is_the_command():
    shown = subprocess.run([sys.executable, "-m", "headstart", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("headstart 0.")


@pytest.mark.parametrize("command", ["compare", "show"])
def test_every_option_is_explained(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--data-dir" in capsys.readouterr().out
