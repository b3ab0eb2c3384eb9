"""A user's own images as a data set: listed, decoded once, split, with what could not be read left out and told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from headstart.data.dataset import Dataset, collection_of
from headstart.data.findings import EXAMPLES, Finding, UnusableDataError, counted, some
from headstart.data.labels import unfit, unfit_of
from headstart.data.listing import Listing, scan
from headstart.data.splits import cut_missing, split_of
from headstart.data.store import open_store
from headstart.errors import HeadstartError
from headstart.runtime.text import shown


def load(
    place: Path,
    split_seed: int,
    *,
    fit: str,
    image_size: int | None,
    max_bad: float,
    group: str | None = None,
    follow_links: bool = False,
) -> Dataset:
    """Load the images of a folder or CSV (`scan` says of which form), brought into squares (`open_store` says how).

    Splits that are given are respected; those that are missing are cut by `split_seed` (`cut_missing`). group: which
    images belong together, as `scan` reads it. Raises HeadstartError for what `scan` refuses, and UnusableDataError,
    with all that was found, where more than the share `max_bad` of the files cannot be read or have no label, and where
    `unfit` or the cut finds that classes cannot be split.
    """
    listing = scan(place, group, follow_links)
    name = _name_of(place)
    where = shown(place)
    if not listing.paths:
        nothing = np.arange(0)
        found = unfit(nothing, np.array([], "<U5"), nothing, listing.class_names, listing.without)
        raise UnusableDataError(where, name, [*listing.findings, *_bad({}, listing.left_out, 0, max_bad), *found])
    store = open_store(listing, collection := collection_at(place), fit, image_size)
    is_bad = store.files["error"].to_numpy() != ""
    good = np.flatnonzero(~is_bad)
    files = store.files.assign(path=[shown(path) for path in listing.paths])
    kept = files.iloc[good].reset_index(drop=True)
    unreadable = dict(files.loc[is_bad, ["path", "error"]].itertuples(index=False))
    given = listing.splits[good]
    dataset = Dataset(
        name,
        store.images.take(good),
        listing.labels[good],
        listing.class_names,
        (split_of(np.where(given == "", "train", given)),),
        where,
        collection,
        kept,
        kept["sha256"].to_numpy(dtype=np.str_) if listing.groups is None else listing.groups[good],
        unreadable | dict(listing.left_out),
        listing.ignored,
        labels_from=listing.said,
        found=(*listing.findings, *_bad(unreadable, listing.left_out, len(good), max_bad)),
        fit=fit,
        whites=store.whites,
    )
    return _cut(dataset, given, split_seed, _why_empty(listing, is_bad))


def collection_at(place: Path) -> str:
    """What the cache files the images of this folder or CSV under."""
    return collection_of(_name_of(place), ascii(str(place.resolve())))


def _name_of(place: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", shown(place.resolve().stem)).strip("-.") or "images"


def _cut(dataset: Dataset, given: np.ndarray, seed: int, why: Mapping[str, str]) -> Dataset:
    """The data set by the splits that are given and cut; UnusableDataError, with all that was found, where anything
    stops that. why: class -> why it has no image."""
    found = [*dataset.found, *unfit_of(dataset, given, why)]
    if not any(finding.stops for finding in found):
        try:
            return cut_missing(dataset, given, seed)
        except HeadstartError as error:  # by near-duplicates, which `unfit` does not look for, and by groups
            found.append(Finding("cannot be split", 1, str(error), stops=True))
    unusable = replace(dataset, found=tuple(found))
    raise UnusableDataError(dataset.source, dataset.name, found, unusable if len(dataset) else None)


def _bad(unreadable: Mapping[str, str], left_out: Mapping[str, str], good: int, max_bad: float) -> list[Finding]:
    """What is to be said of files that cannot be read, by path and why; those that were left out before are told of,
    but count here, too."""
    found = []
    if unreadable:
        said = f"{counted(len(unreadable), 'file')} cannot be read, left out"
        examples = [f"{path}: {error}" for path, error in unreadable.items()]
        found.append(Finding("unreadable", len(unreadable), said, tuple(examples[:EXAMPLES])))
    bad, total = {**unreadable, **left_out}, good + len(unreadable) + len(left_out)
    if len(bad) > max_bad * total:
        named = some([f"{path} ({error})" for path, error in bad.items()])
        said = f"{len(bad):,} of {total:,} files cannot be read, more than --max-bad {100 * max_bad:g}%: {named}"
        found = [Finding("too many unreadable", len(bad), said, stops=True)]
    return found


def _why_empty(listing: Listing, is_bad: np.ndarray) -> dict[str, str]:
    """Class -> why no image of it can be used."""
    found = dict(listing.without)
    for label, name in enumerate(listing.class_names):
        theirs = listing.labels == label
        if theirs.any() and is_bad[theirs].all():
            found[name] = f"none of its {counted(int(theirs.sum()), 'file')} can be read"
    return found
