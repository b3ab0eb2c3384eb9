"""What a verdict on 100 to 3,000 images is worth: how often its intervals hold, what it finds and what it loses.

Data sets are drawn many times from 20,000 images of CIFAR-10, as features of EfficientNet-Lite0 (64 pixels, ImageNet).
Learners of known strength stand in for strategies: ridge regression on all or part of the features, nearest class mean,
and a network of random hidden units, whose seed matters. The truth comes from the images that were not drawn: "recipe",
the mean over draws and seeds, or "networks", of the very ones that were tested. Intervals, choice and race are the
product's own. Writes few-images.csv, and prints it with the seconds it took.

    python bench/few_images.py [FOLDER [FEATURES.npz]]    FEATURES.npz is made where it is missing (about a minute)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from headstart.evaluation.choice import choose, chosen_interval
from headstart.evaluation.predictions import Predictions
from headstart.evaluation.race import clearly_behind
from headstart.evaluation.scores import METRICS, SCORES
from headstart.evaluation.statistics import Tested, all_differences, interval, paired_difference

POOL, DIMENSIONS, CLASSES = 20_000, 256, 10
DRAWS = {100: 200, 300: 150, 1000: 80, 3000: 40}  # images of a data set -> how many are drawn
UNSEEN = 4000  # images that tell the truth about one network
FOLDS, HELD_OUT = 5, 0.15
COST = {"means": 50, "part": 200, "ridge": 800, "net": 900}  # seconds to fit, as the product's strategies have them
EQUAL = ("net", "net 2", "net 3", "net 4")  # one recipe, other seeds
ALL = tuple(dict.fromkeys((*COST, *EQUAL)))
HIDDEN, PENALTY = 120, 300.0

Network = Callable[[np.ndarray], np.ndarray]  # features (N, D) -> classes (N,)
Row = dict[str, float | int | str]


def learn(name: str, features: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Network:
    """Train one network."""
    if name == "means":
        means = np.stack([features[labels == each].mean(axis=0) for each in np.unique(labels)])
        known = np.unique(labels)
        return lambda x: known[(x @ means.T - (means**2).sum(axis=1) / 2).argmax(axis=1)]
    if name.startswith("net"):
        hidden = rng.standard_normal((features.shape[1], HIDDEN)).astype(np.float32) / np.sqrt(DIMENSIONS)
        return _ridge(features, labels, lambda x: np.maximum(x @ hidden, 0))
    return _ridge(features, labels, (lambda x: x[:, : DIMENSIONS // 4]) if name == "part" else (lambda x: x))


def _ridge(features: np.ndarray, labels: np.ndarray, seen: Callable[[np.ndarray], np.ndarray]) -> Network:
    x, targets = seen(features), np.eye(CLASSES, dtype=np.float32)[labels]
    center, mean = x.mean(axis=0), targets.mean(axis=0)
    x = x - center
    scale = PENALTY * float((x**2).mean()) * np.eye(x.shape[1], dtype=np.float32)
    weights = np.linalg.solve(x.T @ x + scale, x.T @ (targets - mean))
    return lambda new: ((seen(new) - center) @ weights + mean).argmax(axis=1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """One data set, tested in one way. truth: learner -> (networks,) accuracy of each on images that were not drawn."""

    tested: Mapping[str, Tested]
    truth: Mapping[str, np.ndarray]


class Pool:
    """The images that data sets are drawn from: features (N, D) and labels (N,)."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            np.savez(path, **_features())
        with np.load(path) as stored:
            self.features, self.labels = stored["features"], stored["labels"]

    def drawn(self, images: int, copies: int, by_chance: bool, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Features and labels of a data set, its units, and those that tell the truth; each picture in `copies` that
        differ as photographs of one object do. Its classes have the shares that they have in the truth, as a folder is
        collected class by class, or what they have by chance."""
        rows, rest = train_test_split(
            np.arange(len(self.labels)),
            train_size=images // copies,
            stratify=None if by_chance else self.labels,
            random_state=int(rng.integers(2**31)),
        )
        unseen = rest[:UNSEEN]
        units = np.repeat(np.arange(len(rows)), copies)

        def photographs(of: np.ndarray) -> np.ndarray:
            shake = 0.5 * rng.standard_normal((len(of), DIMENSIONS)).astype(np.float32) * self.features.std(axis=0)
            return self.features[of] + (shake if copies > 1 else 0)

        return photographs(rows[units]), self.labels[rows[units]], units, photographs(unseen), self.labels[unseen]

    def draws(
        self, images: int, passes: int, rng: np.random.Generator, copies: int = 1, by_chance: bool = False
    ) -> Iterator[Drawn]:
        """Data sets tested in `passes` repetitions of folds, or once on one split where that is 0."""
        while True:
            x, y, units, new, truth = self.drawn(images, copies, by_chance, rng)
            values = {name: np.full((max(1, passes), images), np.nan) for name in ALL}
            networks, right = np.full((max(1, passes), images), -1), {name: [] for name in ALL}
            for repetition, fold, test in _cuts(y, units, passes, copies, rng):
                train = np.setdiff1d(np.arange(images), test)
                for name in ALL:
                    network = learn(name, x[train], y[train], rng)
                    values[name][repetition, test] = network(x[test]) == y[test]
                    right[name].append(np.mean(network(new) == truth))
                networks[repetition, test] = fold
            kept = networks[0] >= 0
            yield Drawn(
                {
                    name: Tested(each[:, kept], networks[:, kept], units[kept], np.ones(kept.sum()))
                    for name, each in values.items()
                },
                {name: np.array(each) for name, each in right.items()},
            )


def _cuts(
    labels: np.ndarray, units: np.ndarray, passes: int, copies: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Repetition, number of the network and what it is tested on."""
    if not passes:
        yield 0, 0, rng.permutation(len(labels))[: round(HELD_OUT * len(labels))]
    cut = StratifiedGroupKFold if copies > 1 else StratifiedKFold
    for repetition in range(passes):
        folds = cut(FOLDS, shuffle=True, random_state=int(rng.integers(2**31)))
        for fold, (_, test) in enumerate(folds.split(labels, labels, units if copies > 1 else None)):
            yield repetition, repetition * FOLDS + fold, test


def _features() -> dict[str, np.ndarray]:
    """Principal components of the backbone's features, scaled alike by their first."""
    import torch

    import headstart
    from headstart.models.backbones import load_backbone

    data = headstart.load("cifar10")
    rows = np.random.default_rng(0).permutation(len(data.labels))[:POOL]
    chain = load_backbone("tf_efficientnet_lite0", 64, offline=True).chain
    with torch.inference_mode():
        batches = np.array_split(rows, POOL // 250)
        found = [chain(torch.from_numpy(np.asarray(data.images[each])).permute(0, 3, 1, 2)).numpy() for each in batches]
    x = np.concatenate(found)
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    _, axes = np.linalg.eigh(x.T @ x)
    x = x @ axes[:, ::-1][:, :DIMENSIONS]
    return {"features": (x / x.std()).astype(np.float32), "labels": data.labels[rows]}


def old_choice(tested: Mapping[str, Tested]) -> str:
    """The rule until 2026-11-26: the cheapest of those whose difference to the best is not significant by Holm."""
    pairs = [frozenset(pair) for pair in combinations(COST, 2)]
    raw = np.array([paired_difference(*(tested[name] for name in pair)).p_value for pair in pairs])
    order = np.argsort(raw)
    adjusted = dict(
        zip((pairs[i] for i in order), np.maximum.accumulate(raw[order] * np.arange(6, 0, -1)), strict=True)
    )
    best = max(COST, key=lambda name: tested[name].score)
    return min(
        (name for name in COST if name == best or adjusted[frozenset((name, best))] >= 0.05), key=COST.__getitem__
    )


new_choice = partial(choose, cost=COST, within=0.01, at_most=0.5)


def measured(draws: list[Drawn]) -> Row:
    """A row of the table."""
    recipe = {name: float(np.mean([each.truth[name].mean() for each in draws])) for name in ALL}
    recipe |= dict.fromkeys(EQUAL, float(np.mean([recipe[name] for name in EQUAL])))
    rows: list[dict[str, float]] = []
    for each in draws:
        tested = {name: each.tested[name] for name in COST}
        scores = {name: found.score for name, found in tested.items()}
        take, old = new_choice(scores), old_choice(tested)
        chosen = chosen_interval(tested, new_choice)
        networks = {name: float(truth.mean()) for name, truth in each.truth.items()}
        singles = [(name, interval(found)) for name, found in tested.items()]
        pairs = [(a, b, paired_difference(tested[a], tested[b])) for a, b in combinations(COST, 2)]
        shown = [pair for pair in all_differences(tested) if abs(recipe[pair.better] - recipe[pair.other]) > 0.01]
        rows.append(
            {
                "accuracy holds recipe": np.mean([i.low <= recipe[name] <= i.high for name, i in singles]),
                "accuracy holds networks": np.mean([i.low <= networks[name] <= i.high for name, i in singles]),
                "accuracy width": np.mean([i.high - i.low for _, i in singles]),
                "difference holds recipe": np.mean([d.low <= recipe[a] - recipe[b] <= d.high for a, b, d in pairs]),
                "difference holds networks": np.mean(
                    [d.low <= networks[a] - networks[b] <= d.high for a, b, d in pairs]
                ),
                "difference width": np.mean([d.high - d.low for _, _, d in pairs]),
                "equal called different": any(
                    not pair.difference.is_tie for pair in all_differences({name: each.tested[name] for name in EQUAL})
                ),
                "found": np.mean([not p.difference.is_tie and recipe[p.better] > recipe[p.other] for p in shown]),
                "loss": max(recipe[name] for name in COST) - recipe[take],
                "loss by the old rule": max(recipe[name] for name in COST) - recipe[old],
                "optimism": scores[take] - networks[take],
                "optimism corrected": chosen.value - networks[take],
                "optimism of the highest": max(scores.values()) - networks[max(scores, key=scores.__getitem__)],
                "chosen holds networks": chosen.low <= networks[take] <= chosen.high,
            }
        )
    table = pd.DataFrame(rows).astype(float)
    return {**(100 * table.mean()), "largest loss": 100 * table["loss"].max()}


def raced(draws: list[Drawn]) -> Row:
    """What giving up candidates after some folds, and after each further one, saves and loses."""
    found: Row = {}
    for first in (1, 2):
        saved, lost = [], []
        for each in draws:
            running, spent = list(COST), 0
            for folds in range(1, FOLDS + 1):
                spent += sum(COST[name] for name in running)
                if first <= folds < FOLDS:
                    seen = {name: _until(each.tested[name], folds) for name in running}
                    running = [name for name in running if name not in clearly_behind(seen, len(COST))]
            best = max(COST, key=lambda name: each.tested[name].score)
            saved.append(1 - spent / FOLDS / sum(COST.values()))
            lost.append(best not in running)
        found |= {f"race from {first}: saved": 100 * np.mean(saved), f"race from {first}: lost": 100 * np.mean(lost)}
    return found


def _until(tested: Tested, folds: int) -> Tested:
    """What is known of a candidate once that many folds are done."""
    seen = tested.networks < folds
    return replace(tested, values=np.where(seen, tested.values, np.nan), networks=np.where(seen, tested.networks, -1))


def small_classes(pool: Pool, sizes: tuple[int, ...], rng: np.random.Generator, sets: int = 300) -> Iterator[Row]:
    """How often intervals of each metric hold, and of a difference, for test sets of few images a class."""
    used = np.flatnonzero(pool.labels < len(sizes))
    train, rest = np.split(rng.permutation(used), [600])
    said = [learn(name, pool.features[train], pool.labels[train], rng)(pool.features) for name in ("ridge", "part")]
    of_class = [rest[pool.labels[rest] == each] for each in range(len(sizes))]
    names = [str(each) for each in range(CLASSES)]
    whole = np.concatenate([rng.choice(rows, 20 * size * 20) for rows, size in zip(of_class, sizes, strict=True)])
    for metric, key in METRICS.items():
        score = SCORES[key]

        def tested(predicted: np.ndarray, rows: np.ndarray, score=score) -> Tested:
            found = Predictions(np.eye(CLASSES)[predicted[rows]], pool.labels[rows], names)
            single = Tested.on_one_split(score.contributions(found))
            return replace(single, weights=score.weights(found.labels))

        truth = [tested(each, whole).score for each in said]
        held = []
        for _ in range(sets):
            rows = np.concatenate([rng.choice(each, size) for each, size in zip(of_class, sizes, strict=True)])
            a, b = (tested(each, rows) for each in said)
            one, two = interval(a), paired_difference(a, b)
            held.append(
                (
                    one.low <= truth[0] <= one.high,
                    one.high - one.low,
                    two.low <= truth[0] - truth[1] <= two.high,
                    two.high - two.low,
                )
            )
        columns = ("accuracy holds networks", "accuracy width", "difference holds networks", "difference width")
        shown = 100 * np.mean(held, axis=0)
        yield {
            "images": sum(sizes),
            "design": f"{metric}, classes of {sizes}",
            **dict(zip(columns, shown, strict=True)),
        }


def main(folder: Path = Path(), features: Path = Path("features.npz")) -> None:
    """Print the table and keep it."""
    pool, start = Pool(features), time.perf_counter()
    rows: list[Row] = []
    for images, sets in DRAWS.items():
        for design, passes in {"one split": 0, "5 folds": 1, "3 x 5 folds": 3}.items():
            draws = _some(pool.draws(images, passes, np.random.default_rng(images)), sets // max(1, passes))
            rows.append(
                {"images": images, "design": design, **measured(draws), **(raced(draws) if passes == 1 else {})}
            )
            print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    for images in (100, 300):
        draws = _some(pool.draws(images, 1, np.random.default_rng(images), by_chance=True), DRAWS[images])
        rows.append({"images": images, "design": "5 folds, shares of classes by chance", **measured(draws)})
    for copies in (3, 10):
        draws = _some(pool.draws(300, 1, np.random.default_rng(copies), copies), 100)
        single = [
            replace(each, tested={name: replace(t, units=np.arange(300)) for name, t in each.tested.items()})
            for each in draws
        ]
        for design, found in {"by object": draws, "as if single": single}.items():
            rows.append(
                {"images": 300, "design": f"5 folds, {copies} photos of each object, {design}", **measured(found)}
            )
    for sizes in ((3, 5, 8, 12, 20), (3,) * 10, (10,) * 10, (20,) * 10, (100, 50, 20, 10, 5), (200, 10), (200, 20)):
        rows += small_classes(pool, sizes, np.random.default_rng(0))
    table = pd.DataFrame(rows).round(2)
    table.to_csv(folder / "few-images.csv", index=False)
    print(table.to_string(), f"\n{time.perf_counter() - start:.0f} s")


def _some(draws: Iterator[Drawn], count: int) -> list[Drawn]:
    return [drawn for drawn, _ in zip(draws, range(count), strict=False)]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
