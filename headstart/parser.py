"""How what was typed is read: complaints of one line that name the near word, help that fits a screen."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NoReturn

from headstart.runtime.failures import USER_ERROR
from headstart.values import near, path

COLUMN = 26  # of a help's words
POSITIONAL: dict[Any, str] = {
    "?": "[{}]",
    "+": "{} ...",
    None: "{}",
    argparse.PARSER: "{} ...",
}  # nargs -> how it stands in the usage


class Help(argparse.RawDescriptionHelpFormatter):
    """One line an option, where its words fit."""

    def __init__(self, prog: str, **how: Any):
        super().__init__(prog, **{"max_help_position": COLUMN, **how})

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        """Of several, `NAME ...` in place of `NAME [NAME ...]`."""
        several = action.nargs == "+" and isinstance(action.metavar, str)
        return f"{action.metavar} ..." if several else super()._format_args(action, default_metavar)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line. source: the file that the arguments are from, where they were not
    typed. Options are typed whole: what is short for one today may be short for two tomorrow.

    everywhere: the options that mean the same in every command that has them. lists: those that take all words up to
    the next option -> the words that they know.
    """

    def __init__(self, *, source: str = "", **how: Any):
        super().__init__(allow_abbrev=False, formatter_class=Help, **how)
        self.source = source
        self.everywhere: list[str] = []
        self.lists: dict[str, Sequence[str]] = {}
        self._titled: dict[str, argparse._ArgumentGroup] = {}

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        blamed = f"{self.source}: " if self.source else ""
        self.exit(USER_ERROR, f"{self.prog}: {blamed}{message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What argparse does, but for options that there are not: those are refused here, where the near ones are; and
        but for a place that follows a list: it is none of its words."""
        found, left = super().parse_known_args(args and self.with_place_first(args), namespace)
        for each in left:
            if each.startswith("--") and each != "--":
                name = each.split("=")[0]
                self.error(f"unknown option {name}{near(name, [*self._option_string_actions])}")
        return found, left

    def with_place_first(self, args: Sequence[str]) -> list[str]:
        """`--backbone a b photos/` as `photos/ --backbone a b`: where nothing else was typed that could be the place of
        the images, the last of several words of a list is it, if it lies there and is no word that the list knows.
        Which images were taken is told with them."""
        flags = [place for place, each in enumerate(args) if each.startswith("-")]
        if not flags or flags[0] > 0 or not any(each.nargs == "?" for each in self.positionals()):
            return [*args]
        flag, *words = args[flags[-1] :]
        if flag not in self.lists or len(words) < 2 or words[-1] in self.lists[flag] or words[-1].isdecimal():
            return [*args]
        if not os.path.lexists(words[-1]):
            return [*args]
        return [words[-1], *args[:-1]]

    def titled(self, title: str) -> argparse._ArgumentGroup:
        """The arguments under a title of the help."""
        if title not in self._titled:
            self._titled[title] = self.add_argument_group(title)
        return self._titled[title]

    def options(self) -> dict[str, argparse.Action]:
        """Name of an option, without its dashes -> the option; without that for help."""
        return {
            flag.removeprefix("--"): action
            for flag, action in self._option_string_actions.items()
            if flag.startswith("--") and flag != "--help"
        }

    def positionals(self) -> list[argparse.Action]:
        """What is typed without a name."""
        return [action for action in self._actions if not action.option_strings]

    def short_usage(self) -> str:
        """One line, whatever options there are."""
        named = [POSITIONAL[each.nargs].format(each.metavar or each.dest) for each in self.positionals()]
        return " ".join([self.prog, *named, "[options]"])


class Several(argparse.Action):
    """Reads all that follows a flag at once, by `const`."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Called by argparse."""
        try:
            setattr(namespace, self.dest, self.const(values))
        except ValueError as error:
            raise argparse.ArgumentError(self, f"{' '.join(values)!r} {error}") from None


def typed(read: Callable[[Any], Any]) -> Callable[[str], Any]:
    """What reads an option, as argparse wants it."""

    @wraps(read)
    def reads(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from None

    return reads


def is_path(action: argparse.Action) -> bool:
    """Whether an argument names a file or folder."""
    return getattr(action.type, "__wrapped__", action.type) is path
