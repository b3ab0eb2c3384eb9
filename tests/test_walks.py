"""What README and tutorials show is run, page by page, in the order in which they show it, on little data.

What is shortened stands in SHORTER, what is not run in NOT_RUN.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from shown_commands import steps
from small_data import coloured_part

import headstart as hs
from headstart import networks
from headstart.cli import main
from headstart.data.cifar10 import sources
from headstart.experiments import compare
from headstart.inference import ort_web, web
from headstart.models import backbones
from headstart.report import drawing
from headstart.report.html import write_report

ROOT = Path(hs.__file__).parents[1]
PAGES = {page.stem: page for page in (ROOT / "README.md", *sorted((ROOT / "docs" / "tutorials").glob("*.md")))}
SHORTER = {  # what a page shows -> what is run
    "--time-limit 10m": "",
    "--sizes 100 1000 10000 all": "--sizes 20 all",
    "learning-curve photos/": "learning-curve photos/ --sizes 12 all",
    'strategies=["frozen", "last20"]': 'strategies=["frozen", "last20"], epochs=1, image_size=32',
    "HeadstartClassifier()": "HeadstartClassifier(epochs=1, image_size=32)",
}
SMALL = ("--epochs", "1", "--image-size", "32", "--device", "cpu", "--strategies", "base-cnn", "frozen")
TRAINING = {"compare": (*SMALL, "--folds", "none"), "learning-curve": SMALL}  # command -> what is added to it
NOT_RUN = {  # how a line begins -> why
    "make test": "is this suite",
    "make docs": "CI runs it",
    "uvx ": "installs from a registry; tried on clean machines for a release",
}
WEIGHTS = {"small": "test_efficientnet.r160_in1k", "medium": "test_resnet.r160_in1k"}
MADE = re.compile(r'^make compare(?: ARGS="([^"]*)")?')
SHOWN = {name: steps(page.read_text(encoding="utf-8")) for name, page in PAGES.items()}


def photos_in(folder: Path, classes: tuple[str, ...], count: int, seed: int) -> None:
    """Little photographs of coloured noise, in a folder a class; where classes are "", beside each other."""
    pictures, labels = coloured_part(count * max(len(classes), 1), 40, seed)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        place = folder / (classes[label] if classes else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[:, :32]).save(place / f"{number}.jpg", quality=95)


def cifar10_of(count: int) -> np.ndarray:
    """(count, 3073) uint8, as CIFAR-10 has its records: a shade of grey a class, and noise."""
    random, labels = np.random.default_rng(0), np.arange(count) % 10
    pixels = 20 * labels[:, None] + random.integers(0, 40, (count, 3072))
    return np.concatenate([labels[:, None], pixels], axis=1).astype(np.uint8)


def only_when_complete(comparison: hs.Comparison) -> None:
    """The page, but not the one that is rewritten after every run: its figures are most of the work here."""
    if comparison.is_complete:
        write_report(comparison)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """Where a reader types: photographs, and what would be fetched, in small."""
    here = tmp_path
    photos_in(here / "photos", ("red", "green", "blue"), 15, 0)
    for number, name in enumerate(("new", "new-photos", "unlabelled")):
        photos_in(here / name, (), 4, 1 + number)
    for name in ("beach.jpg", "cat.png"):
        Image.fromarray(coloured_part(1, 50, 9)[0][0]).save(here / name)
    torch.manual_seed(0)  # of weights that know nothing
    for name in WEIGHTS.values():
        save_file(timm.create_model(name).state_dict(), here / f"{name}.safetensors")
    parts = {ort_web.SCRIPT: b"var a=1;export{a as Tensor,a as default};", ort_web.WASM: b"wasm"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(drawing, "DPI", 40)
        patch.setattr(compare, "write_report", only_when_complete)
        patch.setattr(sources, "open_records", lambda *_, **__: (cifar10_of(300), "made by the tests"))
        patch.setattr(backbones, "EFFICIENTNET_B0", WEIGHTS["small"])
        patch.setattr(backbones, "weights_here", lambda name: (here / f"{name}.safetensors", f"hub timm/{name}"))
        patch.setattr(web, "runtime", lambda offline: parts)
        for size, name in WEIGHTS.items():
            patch.setitem(networks.SIZES, size, name)
        yield here


def typed(line: str) -> list[str]:
    """The arguments of a command as it is run here; of `make compare` those of the command behind it."""
    line = MADE.sub(r"headstart compare \1", line)
    for shown, shorter in SHORTER.items():
        line = line.replace(shown, shorter)
    arguments = shlex.split(line, comments=True)[1:]
    return [*arguments, *TRAINING.get(arguments[0], ())] if arguments else arguments


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_followed_from_top_to_bottom(name: str):
    names: dict[str, object] = {}
    for kind, said in SHOWN[name]:
        if said.startswith(tuple(NOT_RUN)):
            continue
        if kind == "python":
            for shown, shorter in SHORTER.items():
                said = said.replace(shown, shorter)
            exec(compile(said, name, "exec"), names)  # the page's own
            continue
        print(said)
        try:
            main(typed(said))
        except SystemExit as ended:
            assert not ended.code, said


def test_the_pages_show_commands_and_python_and_what_is_not_run_is_there():
    assert {kind for kind, _ in SHOWN["README"]} == {"python", "shell"}
    assert all(len(SHOWN[name]) >= 5 for name in ("README", "cifar10", "photos", "teachers"))
    everything = "\n".join(said for found in SHOWN.values() for _, said in found)
    assert [it for it in (*SHORTER, *NOT_RUN) if it not in everything] == []
