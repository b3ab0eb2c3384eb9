from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
import torch
from safetensors.torch import save_file

from headstart.arguments import make_parser
from headstart.cli import main
from headstart.options import Options
from headstart.results.checksums import write_checksums
from headstart.results.files import write_json

LITE0 = "tf_efficientnet_lite0.in1k"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("compare --strategies last21", "unknown strategy 'last21': did you mean 'last20'?"),
        ("compare --epochs -1", "'-1' is not a whole number of 1 or more"),
        ("compare --epochs 0", "'0' is not a whole number of 1 or more"),
        ("compare --image-size 0", "'0' is not a whole number of 32 or more"),
        ("compare --image-size 8", "'8' is not a whole number of 32 or more"),
        ("compare --train-limit many", "'many' is not a whole number of 1 or more"),
        ("compare --seed -3", "'-3' is not a whole number of 0 or more"),
        ("compare --time-limit soon", "'soon' is neither a time such as 90s, 10m or 1h30m, nor none"),
        ("compare --time-limit 0m", "'0m' is neither a time such as"),
        ("compare --time-limit 5m --epochs 3", "give one of the two, not both"),
        ("compare --seeds 1 1", "'1 1' is not one or more different seeds"),
        ("compare --seeds 0", "'0' is not a whole number of 1 or more"),
        ("compare --seed 1 --seeds 3", "not allowed with argument --seed"),
        ("compare --max-bad 2", "'2' is not a share such as 1% or 0.01"),
        ("compare --prefer beauty", "'beauty' is none of accuracy, fit-time, latency, size"),
        ("compare --log wandb", "unknown tracker 'wandb': choose from tensorboard, mlflow"),
        ("compare --device cpuu", "'cpuu' is none of auto, cpu, cuda: did you mean 'cpu'?"),
        ("compare --backbone resnet17", "no pretrained model 'resnet17'"),
        ("compare --backbone resnet18 --weights nowhere.safetensors", "nowhere.safetensors is not a file"),
        (f"compare --backbone {LITE0} --weights resnet.safetensors", "resnet.safetensors does not fit tf_efficientnet"),
        ("compare --weights w.safetensors", "needs --backbone NAME"),
        ("compare --output full", "full is not an empty folder"),
        ("learning-curve --sizes 10 some", "'some' is not a whole number of 1 or more"),
        ("learning-curve --sizes 500", "a learning curve needs two sizes or more"),
        ("learning-curve --strategies last21", "unknown strategy 'last21'"),
        ("learning-curve --output full", "full is not an empty folder"),
        ("learning-curve --seeds 1 1", "'1 1' is not one or more different seeds"),
        ("verify full", "full is no run's folder"),
        ("cache claer", "'claer' is none of show, clear: did you mean 'clear'?"),
        ("cache clear --older-than soon", "'soon' is not a time such as"),
        ("comapre", "unknown command 'comapre': did you mean 'compare'?"),
        ("compare --backbon resnet18", "unknown option --backbon: did you mean '--backbone'?"),
        ("predict run photos --acuracy=99%", "unknown option --acuracy: did you mean '--accuracy'?"),
        ("show --epochs 3", "headstart show: unknown option --epochs"),
        ("compare --data-dir no/such/folder --strategies base-cnn", "no/such/folder"),
        (
            "compare mnist --strategies base-cnn",
            "'mnist' is neither a folder or CSV of images nor a known data set: cifar10",
        ),
        ("report no/such/run", "no/such/run holds no finished run"),
        ("slides no/such/run", "no/such/run holds no finished run"),
    ],
)
def test_a_bad_argument_ends_in_one_clear_line_and_exit_code_2(arguments, said, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    save_file({"fc.weight": torch.zeros(2, 2)}, "resnet.safetensors")
    if "such" not in said + arguments and "mnist" not in arguments:
        for home in ("headstart.experiments.compare.load", "headstart.data.load.load"):
            monkeypatch.setattr(home, lambda *args, **options: pytest.fail("data was asked for first"))
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    complaint = [line for line in capfd.readouterr().err.splitlines() if line.startswith("headstart")]
    assert ended.value.code == 2
    assert len(complaint) == 1
    assert said in complaint[0]
    assert not (tmp_path / "runs").exists()


def test_the_module_is_the_command():
    shown = subprocess.run([sys.executable, "-m", "headstart", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("headstart 0.")


@pytest.mark.parametrize("command", ["compare", "learning-curve"])
def test_every_option_of_a_comparison_can_be_typed(command):
    parsed = vars(
        make_parser().parse_args([command, "--strict", "--log", "mlflow", "--prefer", "size", "--seeds", "3"])
    )
    assert {key: parsed[key] for key in ("strict", "log", "prefer", "seed")} == {
        **{"strict": True, "log": ["mlflow"], "prefer": "size", "seed": (0, 1, 2)}
    }
    options = {each.name for each in fields(Options) if not each.metadata.get("hidden")}
    assert options <= {action.dest for action in make_parser().of_commands()[command].options().values()}


def test_what_is_not_typed_is_left_to_the_one_default():
    parsed = vars(make_parser().parse_args(["compare"]))
    assert parsed.keys() == {"command", "config", "data"}


@pytest.mark.parametrize("command", ["compare", "learning-curve", "show"])
def test_every_option_is_explained(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--data-dir" in capsys.readouterr().out


def test_alone_it_says_what_to_type_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main([])
    assert "headstart compare photos/" in capsys.readouterr().out
    for name in ("pets-1", "pets-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        write_json(tmp_path / "runs" / name / "request.json", {"schema": 2})
    main([])
    assert "headstart resume runs/pets-2" in capsys.readouterr().out
    write_json(tmp_path / "runs" / "pets-2" / "comparison.json", {"schema": 2, "recommended": "last20"})
    write_checksums(tmp_path / "runs" / "pets-2")
    main([])
    said = capsys.readouterr().out
    assert "Last: runs/pets-2; take last20" in said
    assert "headstart export runs/pets-2 --to web" in said
    write_json(tmp_path / "runs" / "pets-2" / "comparison.json", {"schema": 99})
    main([])
    assert "Last: runs/pets-2\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "data", "name", "words"),
    [
        ("compare --backbone resnet18 photos", "photos", "backbone", ["resnet18"]),
        ("compare --folds 3 --strategies base-cnn frozen photos", "photos", "strategies", ["base-cnn", "frozen"]),
        ("compare --strategies base-cnn frozen", "cifar10", "strategies", ["base-cnn", "frozen"]),
        ("compare cifar10 --backbone resnet18 photos", "cifar10", "backbone", ["resnet18", "photos"]),
        ("compare --backbone photos", "cifar10", "backbone", ["photos"]),
        ("compare --backbone resnet18 nowhere", "cifar10", "backbone", ["resnet18", "nowhere"]),
        ("learning-curve --seeds 1 2 photos", "photos", "seed", [1, 2]),
    ],
)
def test_a_place_that_follows_a_list_is_the_place_of_the_images(typed, data, name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "frozen"):  # the latter is a strategy all the same
        (tmp_path / folder).mkdir()
    parsed = make_parser().parse_args(typed.split())
    assert parsed.data == data and list(getattr(parsed, name)) == words
