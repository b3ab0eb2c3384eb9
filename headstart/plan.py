"""How a candidate is trained where that was planned, as text: `last20=4,size=160`. Nothing here needs torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from headstart.strategies import Strategy, with_epochs

NUMBER = r"\d+(?:\.\d+)?"
PLAN = re.compile(
    rf"(?P<candidate>[^=,#]+)(?:#(?P<seed>\d+))?=(?P<epochs>{NUMBER})(?P<changes>(?:,{NUMBER}:{NUMBER})*)"
    r"(?:,size=(?P<image_size>[1-9]\d*))?(?:,views=(?P<views>[1-9]\d*))?"
)


@dataclass(frozen=True)
class Plan:
    """How a candidate is trained where that is planned, or asked for, instead of by its whole recipe.

    epochs: in place of the recipe's, also a part of one; 0: it is not trained at all. changes: (epochs that were over,
    epochs that there were to be in all from then on), where a clock changed that on the way. image_size: pixels a side
    that its network sees (None: as many as else). views: how many of the recipe's views training sees (None: all).
    seed: the only one that it is for (None: all). As text, on the command line and in files:
    `last20=4,size=160,views=1`, or `deep-cnn#0=9,3:7.5`.
    """

    candidate: str
    epochs: float
    changes: tuple[tuple[float, float], ...] = ()
    image_size: int | None = None
    views: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        name = self.candidate if self.seed is None else f"{self.candidate}#{self.seed}"
        epochs = ",".join([f"{self.epochs:g}", *(f"{done:g}:{of:g}" for done, of in self.changes)])
        more = {"size": self.image_size, "views": self.views}
        return f"{name}={epochs}" + "".join(f",{key}={n}" for key, n in more.items() if n is not None)

    @classmethod
    def of(cls, text: str) -> Plan:
        """The plan that a text tells of; ValueError where it tells of none."""
        match = PLAN.fullmatch(text)
        if match is None or (match["seed"] and not float(match["epochs"])):
            raise ValueError("is not a plan such as last20=4 or frozen=10,size=160,views=1")
        changes = [tuple(map(float, each.split(":"))) for each in match["changes"].split(",")[1:]]
        whole = {key: match[key] and int(match[key]) for key in ("image_size", "views", "seed")}
        return cls(match["candidate"], float(match["epochs"]), tuple(changes), **whole)  # type: ignore[arg-type]

    @property
    def last_epochs(self) -> float:
        """How many epochs there were to be in the end."""
        return self.changes[-1][1] if self.changes else self.epochs

    def apply(self, strategy: Strategy) -> Strategy:
        """The strategy, trained so."""
        shorter = with_epochs(strategy, self.epochs)
        return replace(shorter, recipe=replace(shorter.recipe, views=shorter.recipe.views[: self.views]))
