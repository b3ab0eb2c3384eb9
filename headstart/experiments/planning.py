"""What fits into a time limit, planned from a few measured steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from headstart.data.dataset import Dataset, Subset
from headstart.experiments.pace import Pace, measured_pace, stored_pace
from headstart.experiments.trade_offs import WHOLE, Shape, accuracy, shapes
from headstart.plan import Plan
from headstart.strategies import Candidate, Weights
from headstart.training.preparation import Pretrained

REPORT_SECONDS = 4.0  # a trial: figures and page
SURELY = 3  # a plan that would fit if all took so many times as long is not measured anew
SHARES = tuple(step / 20 for step in range(2, 21))  # of a recipe's epochs, that are weighed: fewer teach nothing


@dataclass(frozen=True)
class Estimate:
    """How long a candidate is expected to take by its plan, for each seed.

    most: epochs of its whole recipe. accuracy: what the plan promises, see `trade_offs`. pass_seconds: its part of the
    frozen pass, which all seeds and all candidates on one backbone share; tested_seconds: of these, over test, after
    training. again_seconds: of training once more on all images, after folds, if it is recommended.
    """

    plan: Plan
    most: float
    accuracy: float
    epoch_seconds: float
    test_seconds: float
    pass_seconds: float
    tested_seconds: float = 0.0
    again_seconds: float = 0.0

    @property
    def run_seconds(self) -> float:
        """Of one seed, without the pass."""
        return self.fit_seconds + self.test_seconds + REPORT_SECONDS

    @property
    def fit_seconds(self) -> float:
        """Of the epochs of one seed."""
        return self.plan.epochs * self.epoch_seconds

    def seconds(self, seeds: int) -> float:
        """All of it, for so many seeds, the report included."""
        return self.pass_seconds + seeds * self.run_seconds


@dataclass(frozen=True)
class Planner:
    """What is to be planned. backbones: those that candidates share. image_size: pixels a side that was asked for.
    seeds: how many runs of each candidate there are to be. image_seconds: of the frozen pass over each backbone (where
    it lacks one, as it was when its engine was chosen). passed: the shape in which all of them are done already.
    counted: how many images a pass lacks, once that was asked, which takes a second for 100,000."""

    candidates: Sequence[Candidate]
    data: Dataset
    backbones: Mapping[Weights, Pretrained]
    image_size: int | None
    seeds: int
    fabric: Fabric
    image_seconds: Mapping[Weights, float] = field(default_factory=dict)
    passed: Shape | None = None
    counted: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def whole(self, paces: Mapping[str, Pace]) -> list[Estimate]:
        """What the whole recipes take."""
        return [self.options(each, paces[each.name], WHOLE)[-1] for each in self.candidates]

    def estimates(self, ends: float) -> tuple[list[Estimate], list[Estimate]]:
        """The plan that promises the most accuracy, summed over the candidates, until `ends` by `time.perf_counter`,
        and beside it the whole recipes, which it is where these fit. Where the least of each does not fit, some are
        left out. What measuring takes is counted."""
        paces = self._paces(stored_pace)
        whole = self.whole(paces)
        if self.seconds(whole) <= (ends - time.perf_counter()) / SURELY:
            return whole, whole
        if not all(pace.is_new for pace in paces.values()):
            paces = self._paces(measured_pace)
        used = [each for each in self.backbones if self.freezing(each)]
        now = replace(self, image_seconds={each: self.backbones[each].frozen_pass.pace() for each in used})
        return now.within(max(1.0, ends - time.perf_counter()), paces), now.whole(paces)

    def dearest(self, keep: int) -> set[Weights]:
        """The backbones, so many, of which the candidates that are planned take longest by their whole recipes."""
        seconds = dict.fromkeys(self.backbones, 0.0)
        for each, estimate in zip(self.candidates, self.whole(self._paces(stored_pace)), strict=True):
            if each.weights is not None:
                seconds[each.weights] += estimate.seconds(self.seeds)
        return set(sorted(seconds, key=seconds.__getitem__, reverse=True)[:keep])

    def within(self, limit: float, paces: Mapping[str, Pace]) -> list[Estimate]:
        """The best plan in any shape. Where none fits, the candidate of which the least takes longest is left out; the
        least of a last one stays."""
        ways = [self.filled(shape, paces, limit) for shape in self._shapes()]
        fitting = [way for way in ways if self.seconds(way) <= limit]
        if fitting:
            return max(fitting, key=lambda way: (sum(each.accuracy for each in way), -self.seconds(way)))
        quickest = min(ways, key=self.seconds)
        if len(quickest) == 1:
            return quickest
        longest = max(quickest, key=lambda each: each.seconds(self.seeds)).plan.candidate
        rest = [each for each in self.candidates if each.name != longest]
        return replace(self, candidates=rest).within(limit, paces)

    def filled(self, shape: Shape, paces: Mapping[str, Pace], limit: float) -> list[Estimate]:
        """The best plan in one shape: from the least of every candidate on, always the further epochs that gain the
        most accuracy a second, as long as some fit."""
        options = [self.options(each, paces[each.name], shape) for each in self.candidates]
        chosen = [each[0] for each in options]
        while steps := self._steps(chosen, options, limit - self.seconds(chosen)):
            _, place, further = max(steps, key=lambda step: step[0])
            chosen[place] = further
        return chosen

    def _steps(
        self, chosen: Sequence[Estimate], options: Sequence[Sequence[Estimate]], left: float
    ) -> list[tuple[float, int, Estimate]]:
        """What may be chosen in place of one candidate's plan with `left` more seconds: the accuracy that it gains a
        second, the candidate's place, and the plan."""
        again, steps = max(each.again_seconds for each in chosen), []
        for place, now in enumerate(chosen):
            for further in options[place]:
                costs = self.seeds * (further.run_seconds - now.run_seconds) + max(0.0, further.again_seconds - again)
                if now.plan.epochs < further.plan.epochs and costs <= left:
                    steps.append(((further.accuracy - now.accuracy) / costs, place, further))
        return steps

    def options(self, candidate: Candidate, pace: Pace, shape: Shape) -> list[Estimate]:
        """Ever more epochs of a candidate in this shape, up to its whole recipe."""
        strategy, recipe, weights = candidate.strategy, candidate.strategy.recipe, candidate.weights
        frozen, tested = 0.0, 0.0
        if weights is None or weights not in self.backbones:
            shape = WHOLE
        else:
            shape = self._possible(weights, shape)
            if candidate in (freezing := self.freezing(weights)):
                frozen, tested = (each / len(freezing) for each in self.pass_seconds(weights, shape))
            if shape.image_size is not None and strategy.frozen_share != 1:  # that sees features, as long at any size
                pace = pace.at(self._area(weights, shape))
        epoch_seconds = pace.epoch_seconds(recipe, self.data)
        test_seconds = pace.test_seconds(strategy, self.data)
        once_more = epoch_seconds * len(self.data) / len(self.data.train) if len(self.data.splits) > 1 else 0.0
        estimates = []
        for share in SHARES:
            epochs = recipe.epochs if share == 1 else round(share * recipe.epochs, 2)
            plan = Plan(candidate.name, epochs, image_size=shape.image_size, views=shape.views)
            promised = accuracy(strategy, shape, share)
            taken = (epoch_seconds, test_seconds, frozen, tested, epochs * once_more)
            estimates.append(Estimate(plan, recipe.epochs, promised, *taken))
        return estimates

    def freezing(self, weights: Weights) -> list[Candidate]:
        """The candidates that leave something of a backbone as it is."""
        shared = self.backbones[weights]
        return [each for each in self.candidates if each.weights == weights and shared.freezes(each.strategy)]

    def pass_seconds(self, weights: Weights, shape: Shape = WHOLE) -> tuple[float, float]:
        """What the frozen pass over a backbone will take, and how much of that comes after training: that over test,
        also in float32. By the measurement that chose its engines; nothing where it is done."""
        if self.passed is not None and shape == self._possible(weights, self.passed):
            return 0.0, 0.0
        recipes = [each.strategy.recipe for each in self.freezing(weights)]
        train = {view for recipe in recipes for view in recipe.views[: shape.views]}
        further = {view for recipe in recipes for view in recipe.test_views[1:]}
        trained = np.unique(np.concatenate([rows for each in self.data.splits for rows in (each.train, each.val)]))
        tested = self.data.tested.rows
        untrained = np.setdiff1d(tested, trained)  # by folds there is none
        sooner = sum(self._missing(weights, shape, trained, view) for view in train)
        later = sum(self._missing(weights, shape, untrained if view in train else tested, view) for view in further)
        exactly = self._missing(weights, shape, tested, "identity", exact=True)
        engine, exact = (self.backbones[weights].engine(exact) for exact in (False, True))
        now = self.image_seconds.get(weights, engine["image_seconds"])
        slower = now / engine["image_seconds"]
        area = self._area(weights, shape)
        before = engine["setup_seconds"] + sooner * now * area
        after = exact["setup_seconds"] + (later * now + exactly * slower * exact["image_seconds"]) * area
        return before + after, after

    def _missing(self, weights: Weights, shape: Shape, rows: np.ndarray, view: str, exact: bool = False) -> int:
        """How many of these images a frozen pass has yet to see in a view; all of them, where that was not asked yet,
        or in another size."""
        if weights not in self.image_seconds or shape.image_size is not None or not len(rows):
            return len(rows)
        key = (weights, rows.tobytes(), view, exact)
        if key not in self.counted:
            strategies = [each.strategy for each in self.freezing(weights)]
            part = Subset(self.data, rows)
            self.counted[key] = self.backbones[weights].missing(strategies, part, [view], exact)
        return self.counted[key]

    def _area(self, weights: Weights, shape: Shape) -> float:
        """Pixels of an image in this shape, over those of one as it is."""
        return 1.0 if shape.image_size is None else (shape.image_size / self._side(weights)) ** 2

    def _side(self, weights: Weights) -> int:
        return self.backbones[weights].backbone.image_size

    def _possible(self, weights: Weights, shape: Shape) -> Shape:
        """The shape as far as a backbone can have it: one that takes one size only sees that."""
        smaller = shape.image_size is not None and shape.image_size < self._side(weights)
        return shape if smaller and self._may_shrink(weights) else replace(shape, image_size=None)

    def _may_shrink(self, weights: Weights) -> bool:
        return self.image_size is None and self.backbones[weights].backbone.takes_any_size

    def _shapes(self) -> list[Shape]:
        if not self.backbones:
            return [WHOLE]
        return shapes(max((self._side(each) for each in self.backbones if self._may_shrink(each)), default=None))

    def _paces(self, paced: Callable[..., Pace]) -> dict[str, Pace]:
        return {
            each.name: paced(
                each,
                self.data,
                None if each.weights is None else self.backbones[each.weights],
                self.image_size,
                self.fabric,
            )
            for each in self.candidates
        }

    def seconds(self, estimates: Sequence[Estimate]) -> float:
        """All of these, and once more on all images that which takes longest."""
        again = max((each.again_seconds for each in estimates), default=0.0)
        return sum(each.seconds(self.seeds) for each in estimates) + again
