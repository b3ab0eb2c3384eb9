"""Imports flow one way, and importing does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import headstart

PACKAGE = Path(headstart.__file__).parent
ROOMS = (  # a room may import from those below it, and from itself
    ("__main__",),
    ("cli",),
    ("config", "completion"),
    ("arguments",),
    ("parser",),
    ("experiments",),
    ("report",),
    ("inference",),
    ("training",),
    ("results",),
    ("models",),
    ("data",),
    ("evaluation",),
    ("options", "values", "plan", "strategies", "networks", "theme"),
    ("runtime",),
    ("errors", "__init__"),
)
FLOOR = {name: len(ROOMS) - level for level, names in enumerate(ROOMS) for name in names}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "headstart":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("headstart.")}
    return {name if name in FLOOR else "__init__" for name in names}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_room_imports_from_one_above_it(path):
    if room(path) == "__init__":
        return  # the public names, imported when they are first used
    above = {name for name in imported_rooms(path) if FLOOR[name] > FLOOR[room(path)]}
    assert not above


@pytest.mark.parametrize(
    "statement", ["import headstart", "import headstart.cli", "from headstart import Dataset, STRATEGIES"]
)
def test_importing_does_not_import_torch(statement):
    heavy = "{'torch', 'timm', 'pandas', 'sklearn', 'matplotlib', 'rich'} & set(sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print({heavy} or '')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_do_not_import_torch(option):
    code = (
        "import sys\nfrom headstart.cli import main\n"
        f"try: main(['{option}'])\nexcept SystemExit as end: assert end.code in (0, None)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_every_public_name_is_there():
    assert all(getattr(headstart, name) is not None for name in headstart.__all__)
    assert set(headstart.__all__) <= set(dir(headstart))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        headstart.no_such_name  # noqa: B018


def test_the_page_of_the_house_lists_every_file_in_its_room():
    page = (PACKAGE.parent / "docs" / "house.md").read_text(encoding="utf-8")
    listed, rooms = [], []
    for line in page.split("\nheadstart/\n")[1].split("\nnotebooks/")[0].splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2 - 1
        rooms[depth:] = [name.rstrip("/")] if name.endswith("/") else []
        if name.endswith(".py"):
            listed.append("/".join([*rooms[:depth], name]))
    found = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    said = {name for name in found if not name.endswith("/__init__.py")} | {"report/__init__.py"}
    assert sorted(listed) == sorted(said)
