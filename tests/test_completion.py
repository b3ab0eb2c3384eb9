"""Scripts of completion, run by the shells that are here."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from headstart.arguments import COMMANDS, SHELLS
from headstart.cli import main

ASK = {  # shell -> what makes it complete a line, its script in $1, the line in $2
    "bash": (
        'source "$1"; read -ra COMP_WORDS <<< "$2"; [[ "$2" == *" " ]] && COMP_WORDS+=(""); '
        'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shtab_headstart; printf "%s\\n" "${COMPREPLY[@]}"'
    ),
    "fish": 'source $argv[1]; complete -C "$argv[2]"',
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_knows_every_command(shell, capsys):
    main(["completion", shell])
    printed = capsys.readouterr().out
    assert not [command for command in COMMANDS if command not in printed]


@pytest.mark.parametrize("shell", ASK)
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("headstart comp", {"compare", "completion"}),
        ("headstart compare --pref", {"--prefer"}),
        ("headstart compare --prefer ", {"accuracy", "fit-time", "latency", "size"}),
        ("headstart compare --strategies la", {"last20", "last50"}),
        ("headstart compare --backbone me", {"medium"}),
        ("headstart compare pho", {"photos"}),
        ("headstart predict runs pho", {"photos"}),
        ("headstart cache ", {"show", "clear"}),
    ],
)
def test_a_shell_completes_commands_options_their_words_and_files(shell, line, found, capsys, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    main(["completion", shell])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "photos").mkdir()
    quiet = {"bash": ["--norc", "-c"], "fish": ["--no-config", "-c"]}[shell]
    said = subprocess.run(
        [shell, *quiet, ASK[shell], *(["bash"] if shell == "bash" else []), "./script", line],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {each.split("\t")[0].rstrip("/") for each in said.splitlines()} == found
