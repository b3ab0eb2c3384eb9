"""What was found out about a data set, and the error for one that cannot be used as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headstart.errors import HeadstartError

if TYPE_CHECKING:
    from headstart.data.dataset import Dataset

MOST_SAID = 5  # findings that an error names
EXAMPLES = 100  # that are kept of a finding


@dataclass(frozen=True)
class Finding:
    """Something that was found. said: a line about it. examples: what it was found on, the first of `count`.
    is_fault: False for what is only told. stops: nothing can be trained before it is put right."""

    kind: str
    count: int
    said: str
    examples: tuple[str, ...] = ()
    is_fault: bool = True
    stops: bool = False


class UnusableDataError(HeadstartError):
    """A data set that cannot be split and trained on. Its line tells of every fault, causes before consequences.

    name: what to call it. findings: all that was found until then. dataset: what there is of it, all to train on; None
    where no image can be read.
    """

    def __init__(self, where: str, name: str, findings: Sequence[Finding], dataset: Dataset | None = None):
        faults = [finding for finding in findings if finding.is_fault]
        said = "; ".join(finding.said for finding in faults[:MOST_SAID])
        more = f"; and {len(faults) - MOST_SAID} more" if len(faults) > MOST_SAID else ""
        is_more = more or any(finding.examples for finding in faults)
        super().__init__(f"{where}: {said}{more}{'; `headstart check` lists it all' if is_more else ''}")
        self.name, self.findings, self.dataset = name, tuple(findings), dataset


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 image", "1,000 images"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
