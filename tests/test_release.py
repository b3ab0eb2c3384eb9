"""What a release rests on: one version, its changelog, what is packed, and a workflow that holds no secret."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import headstart

ROOT = Path(headstart.__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOW = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")


def test_the_version_stands_in_one_place_and_heads_the_changelog():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "headstart/__init__.py"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\d\S*)", changelog, re.MULTILINE)
    assert versions[0] == headstart.__version__


def test_the_package_is_typed():
    assert (ROOT / "headstart" / "py.typed").exists()


def test_every_extra_is_on_the_page_of_releases():
    page = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    for extra in PYPROJECT["project"]["optional-dependencies"]:
        assert f"`{extra}`" in page, extra


def test_an_extra_that_stands_for_others_names_those_that_there_are():
    extras = PYPROJECT["project"]["optional-dependencies"]
    for needed in (each for packages in extras.values() for each in packages if each.startswith("headstart[")):
        assert set(needed.removeprefix("headstart[").rstrip("]").split(",")) <= set(extras)


def test_every_extra_that_a_message_names_is_there():
    extras = PYPROJECT["project"]["optional-dependencies"]
    for file in (ROOT / "headstart").rglob("*.py"):
        for named in re.findall(r"headstart\[([a-z,]+)\]", file.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= set(extras), file


def test_the_workflow_publishes_without_a_secret():
    assert "id-token: write" in WORKFLOW
    assert not re.search(r"secrets\.|password:|api-token", WORKFLOW)


@pytest.mark.parametrize("made", ["build/sbom.cdx.json", "build/licences.csv"])
def test_what_the_workflow_attaches_is_made_by_the_makefile(made):
    assert made in WORKFLOW
    assert made in (ROOT / "Makefile").read_text(encoding="utf-8")
