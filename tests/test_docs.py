"""What README, tutorials and pages tell people to type is what the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from shown_commands import steps

import headstart as hs
from headstart.arguments import make_parser

ROOT = Path(hs.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]


COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line}")
    for page in PAGES
    for _, line in steps(page.read_text(encoding="utf-8"), quoted=False)
    if line.startswith("headstart ")
]


def test_there_are_commands_in_readme_and_tutorials():
    assert {each.id.split(":")[0] for each in COMMANDS} >= {"README", "cifar10", "photos", "teachers"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_a_page_shows_can_be_typed(line):
    arguments = shlex.split(line.split(" > ")[0], comments=True)[1:]
    make_parser().parse_args(arguments)


def test_readme_and_pages_name_files_that_are_there():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
