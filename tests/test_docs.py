"""What README, tutorials and pages tell people to type is what the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import headstart as hs
from headstart.arguments import make_parser

ROOT = Path(hs.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "tutorials").glob("*.md"))]


def commands(page: str) -> list[str]:
    """What stands in blocks, fenced or indented, and begins with our name."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(.*)$", page, re.MULTILINE)
    return re.findall(r"^(?:\$ )?(headstart [a-z].*)$", "\n".join([*fenced, *indented]), re.MULTILINE)


COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line}")
    for page in PAGES
    for line in commands(page.read_text(encoding="utf-8"))
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
