"""Pictures that resemble nothing in training: which known method tells them best.

Networks are trained by the product's own recipes on some of the classes of a data set. Near: its held-out classes.
Far: rendered text, noise, faces, and pictures of the other data set. Every method sees what the last linear layer is
given and the logits; its threshold is what flags 1 % of val; the rate of false flags is measured on test.

    python bench/novelty.py OUT HANDS [FACES.npy]   features are kept in OUT (about 15 minutes), the table too

HANDS: a folder of photos, a class a subfolder. FACES: grey images (N, H, W) from 0 to 1, such as the first 100 of
scikit-image's lfw_subset.npy.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.special import logsumexp, softmax
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

import headstart as hs
from headstart.data.arrays import from_arrays
from headstart.data.dataset import Dataset
from headstart.data.pixels import image_of
from headstart.evaluation.novelty import normalised, threshold
from headstart.experiments.measuring import sides_of
from headstart.experiments.trial import Setting, Trial, train, untrained, weights_of
from headstart.inference.classifier import Classifier
from headstart.models.backbones import EFFICIENTNET_LITE0, load_backbone
from headstart.models.network import features_of, last_linear
from headstart.runtime.device import make_fabric
from headstart.strategies import STRATEGIES, candidates_of, with_enough_steps
from headstart.training.fit import Watch, predict

STRATEGY_NAMES = ("frozen", "last20", "base-cnn", "deep-cnn")
PIXELS = 96  # a side, on the backbone
HELD_OUT = {"cifar10": [(3, 9), (0, 6)], "hands": [(0, 5), (2, 8)]}  # classes, two draws
TRAIN, VAL, TEST, FAR = 200, 100, 100, 200  # images a class; pictures of another kind
MEGABYTES = 2.0  # that a run may keep for it, as float16
Features = dict[str, np.ndarray]


def pictures_of_text(count: int, side: int, draw: np.random.Generator) -> np.ndarray:
    """Lines of letters, dark on light or light on dark."""
    found = []
    for _ in range(count):
        ground, ink = draw.permutation([draw.integers(180, 256), draw.integers(0, 80)]).tolist()
        picture = Image.new("RGB", (side, side), (ground,) * 3)
        pen, size = ImageDraw.Draw(picture), side / draw.integers(3, 8)
        for top in np.arange(0, side, 1.2 * size):
            words = "".join(chr(letter) for letter in draw.choice([*range(97, 123), 32, 32, 32, 32], 40))
            pen.text((2, float(top)), words, fill=(ink,) * 3, font=ImageFont.load_default(size))
        found.append(np.asarray(picture))
    return np.stack(found)


def pictures_of_noise(count: int, side: int, draw: np.random.Generator) -> np.ndarray:
    """Pixels by chance; of every other picture blurred, its contrast kept."""
    pixels = draw.integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    for each in pixels[::2]:
        coarse = Image.fromarray(each[: side // 8, : side // 8])
        each[:] = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return pixels


@dataclass(frozen=True)
class Reference:
    """What the methods know of training: features (M, D) and labels, logits, and the last layer."""

    features: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


def neighbours(reference: Reference, features: np.ndarray, logits: np.ndarray, k: int) -> np.ndarray:
    """Sun et al. 2022 (arXiv 2204.06507): the distance to the k-th nearest of as many as MEGABYTES hold."""
    most = int(MEGABYTES * 1e6 / 2 / features.shape[1])
    rows = np.random.default_rng(0).permutation(len(reference.features))[:most]
    products = normalised(features) @ normalised(reference.features[rows].astype(np.float16).astype(np.float32)).T
    return 1 - np.sort(products, axis=1)[:, -min(k, products.shape[1])]


def mahalanobis(reference: Reference, features: np.ndarray, logits: np.ndarray, relative: bool) -> np.ndarray:
    """Lee et al. 2018 (arXiv 1807.03888), and Ren et al. 2021 (arXiv 2106.09022): less the distance from all."""
    means = np.stack(
        [reference.features[reference.labels == each].mean(axis=0) for each in np.unique(reference.labels)]
    )

    def distances(spread: np.ndarray, centres: np.ndarray) -> np.ndarray:
        precision = np.linalg.inv(
            ledoit_wolf(spread, assume_centered=True)[0].astype(np.float64) + 1e-9 * np.eye(spread.shape[1])
        )
        return np.stack([(((features - each) @ precision) * (features - each)).sum(axis=1) for each in centres], axis=1)

    own = distances(reference.features - means[np.unique(reference.labels, return_inverse=True)[1]], means).min(axis=1)
    centre = reference.features.mean(axis=0)
    return own - distances(reference.features - centre, centre[None])[:, 0] if relative else own


def vim(reference: Reference, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Wang et al. 2022 (arXiv 2203.10807): what lies outside the principal space of features, as one more logit."""
    origin = -np.linalg.pinv(reference.weight) @ reference.bias
    size = features.shape[1]
    kept = 1000 if size >= 2048 else 512 if size >= 768 else size // 2
    centred = (reference.features - origin).astype(np.float64)
    rest = np.linalg.eigh(centred.T @ centred)[1][:, : size - kept]
    scale = reference.logits.max(axis=1).mean() / np.linalg.norm(centred @ rest, axis=1).mean()
    return scale * np.linalg.norm((features - origin) @ rest, axis=1) - logsumexp(logits, axis=1)


Method = Callable[[Reference, np.ndarray, np.ndarray], np.ndarray]
METHODS: dict[str, Method] = {
    "largest probability": lambda reference, features, logits: -softmax(logits, axis=1).max(axis=1),
    "max logit": lambda reference, features, logits: -logits.max(axis=1),
    "energy": lambda reference, features, logits: -logsumexp(logits, axis=1),  # Liu et al. 2020, arXiv 2010.03759
    **{f"neighbour {k}": partial(neighbours, k=k) for k in (1, 5, 10, 50)},
    "Mahalanobis": partial(mahalanobis, relative=False),
    "relative Mahalanobis": partial(mahalanobis, relative=True),
    "ViM": vim,
}


def known_classes(data: Dataset, held_out: tuple[int, ...], draw: int) -> tuple[Dataset, np.ndarray]:
    """A data set of the other classes, and the images (N, S, S, 3) of those held out."""
    chance = np.random.default_rng(draw)
    kept = [each for each in range(len(data.class_names)) if each not in held_out]
    rows, splits = [], []
    for label in kept:
        of_class = chance.permutation(np.flatnonzero(data.labels == label))
        sizes = (TRAIN, VAL, TEST) if len(of_class) > 100 else np.array([0.6, 0.2, 0.2]) * len(of_class)
        ends = np.cumsum(sizes).astype(int)
        rows.append(of_class[: ends[-1]])
        splits += [
            name for name, size in zip(("train", "val", "test"), np.diff([0, *ends]), strict=True) for _ in range(size)
        ]
    chosen = np.concatenate(rows)
    near = chance.permutation(np.flatnonzero(np.isin(data.labels, held_out)))[: 2 * TEST]
    labels = np.searchsorted(kept, data.labels[chosen])
    names = [data.class_names[each] for each in kept]
    known = from_arrays(data.images[chosen], labels, names, splits=splits, name=f"{data.name}{draw}")
    return known, data.images[near]


def features_by(name: str, data: Dataset, others: dict[str, np.ndarray], folder: Path) -> tuple[Features, float, float]:
    """Train a strategy, and keep features, logits and labels of all parts, and of other pictures; seconds to fit, and
    those that features of train took."""
    strategy = with_enough_steps(STRATEGIES[name], len(data.train))
    backbone = load_backbone(EFFICIENTNET_LITE0, PIXELS, offline=True)
    (candidate,) = candidates_of([strategy], [weights_of(backbone, None, True)])
    shares = (strategy.frozen_share,) if strategy.frozen_share else ()
    trial, fabric = Trial(candidate, "holdout", 0, Setting(folder, "cpu", None, shares)), make_fabric("cpu")
    prepared = untrained(trial, data, fabric)
    started = time.perf_counter()
    train(trial, prepared, data, fabric, Watch())
    fit_seconds, found = time.perf_counter() - started, {}
    for part in ("train", "val", "test"):
        started = time.perf_counter()
        with features_of(prepared.network) as given:
            samples = prepared.samples(getattr(data, part), ("identity",))[0]
            found[f"{part} logits"] = predict(prepared.network.trainable, samples, fabric).numpy()
        found[f"{part} features"] = torch.cat(given).numpy()
        found[f"{part} labels"] = getattr(data, part).labels
        if part == "train":
            seconds = time.perf_counter() - started
    classifier = Classifier(prepared.network, data.class_names, sides_of(prepared, data), 1.0, data.fit)
    for kind, pictures in others.items():
        with features_of(prepared.network) as given:
            found[f"{kind} logits"] = torch.cat(
                [classifier.logits(some) for some in classifier.batches(pictures)]
            ).numpy()
        found[f"{kind} features"] = torch.cat(given).numpy()
    last = last_linear(prepared.network)
    found["weight"] = last.weight.detach().numpy()
    found["bias"] = np.zeros(len(last.weight)) if last.bias is None else last.bias.detach().numpy()
    return found, fit_seconds, seconds


def rows_of(name: str, found: Features) -> Iterator[dict[str, float | str]]:
    """A row a method and kind of pictures."""
    reference = Reference(
        *(found[f"train {what}"] for what in ("features", "labels", "logits")), found["weight"], found["bias"]
    )
    for method, score in METHODS.items():
        scores = {
            kind: score(reference, found[f"{kind} features"], found[f"{kind} logits"])
            for kind in (key.removesuffix(" features") for key in found if key.endswith(" features"))
        }
        limit = threshold(scores["val"])
        for kind in scores.keys() - {"train", "val", "test"}:
            known, new = scores["test"], scores[kind]
            truth = np.repeat([0, 1], [len(known), len(new)])
            yield {
                "case": name,
                "method": method,
                "pictures": kind,
                "auroc": 100 * float(roc_auc_score(truth, np.concatenate([known, new]))),
                "flagged": 100 * float((new > limit).mean()),
                "false_flags": 100 * float((known > limit).mean()),
                "val": len(scores["val"]),
            }


def main(out: Path, hands: Path, faces: Path | None = None) -> None:
    """Train what is missing, and print the table."""
    out.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    sets = {"cifar10": hs.load("cifar10"), "hands": hs.load(hands, fit="stretch")}
    far = {"text": pictures_of_text(FAR, 96, draw), "noise": pictures_of_noise(FAR, 96, draw)}
    if faces is not None:
        far["faces"] = np.stack([np.asarray(image_of(each)) for each in np.load(faces)[:100].astype(np.float32)])
    rows: list[dict[str, float | str]] = []
    for number, place in product(range(2), sets):
        data, held_out = sets[place], HELD_OUT[place][number]
        (name,) = sets.keys() - {place}
        others = far | {name: sets[name].images[draw.permutation(len(sets[name]))[:FAR]]}
        known, near = known_classes(data, held_out, number)
        for strategy in STRATEGY_NAMES:
            file = out / f"{place} {strategy} {number}.npz"
            if not file.exists():
                found, fit, seconds = features_by(strategy, known, others | {"near": near}, out)
                print(f"{file.stem}: fit {fit:.1f} s, features of train {seconds:.2f} s", flush=True)
                np.savez(file, **found)
            with np.load(file) as kept:
                rows += list(rows_of(f"{place} {strategy}", dict(kept)))
    table = pd.DataFrame(rows)
    table.to_csv(out / "novelty.csv", index=False)
    table["set"] = table["case"].str.split().str[0]
    table["kind"] = np.where(table["pictures"] == "near", "near", "far")
    means = table.groupby(["set", "kind", "method"])[["auroc", "flagged", "false_flags"]].mean()
    print(means.unstack("method").T.round(1).to_string())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
