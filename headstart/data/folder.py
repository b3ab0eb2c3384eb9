"""A user's own images as a data set: listed, decoded once, split, with what could not be read left out and told."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from headstart.data.dataset import Dataset, collection_of
from headstart.data.listing import Listing, scan
from headstart.data.splits import cut_missing
from headstart.data.store import Store, open_store
from headstart.errors import HeadstartError
from headstart.runtime.text import shown

EXAMPLES = 3  # files that a message names


def load(
    place: Path, split_seed: int, *, fit: str, image_size: int | None, max_bad: float, group: str | None = None
) -> Dataset:
    """Load the images of a folder or CSV (`scan` says of which form), brought into squares (`open_store` says how).

    Splits that are given are respected; those that are missing are cut by `split_seed` (`cut_missing`). group: which
    images belong together, as `scan` reads it. Raises HeadstartError for what `scan` refuses, where more than the share
    `max_bad` of the files cannot be read, and where a class has too few images to be split.
    """
    listing = scan(place, group)
    name = re.sub(r"[^\w.-]+", "-", shown(place.resolve().stem)).strip("-.") or "images"
    store = open_store(listing, collection := collection_of(name, ascii(str(place.resolve()))), fit, image_size)
    bad = store.files["error"].to_numpy() != ""
    _refuse_bad(listing, store, bad, max_bad)
    good = np.flatnonzero(~bad)
    files = store.files.assign(path=[shown(path) for path in listing.paths])
    found = files.iloc[good].reset_index(drop=True)
    dataset = Dataset(
        name,
        store.images.take(good),
        listing.labels[good],
        listing.class_names,
        (),
        shown(place),
        collection,
        found,
        found["sha256"].to_numpy(dtype=np.str_) if listing.groups is None else listing.groups[good],
        dict(files.loc[bad, ["path", "error"]].itertuples(index=False)),
        listing.ignored,
        fit=fit,
        whites=store.whites,
    )
    return cut_missing(dataset, listing.splits[good], split_seed)


def _refuse_bad(listing: Listing, store: Store, bad: np.ndarray, max_bad: float) -> None:
    if bad.mean() <= max_bad:
        return
    examples = [f"{shown(listing.paths[i])} ({store.files['error'].iloc[i]})" for i in np.flatnonzero(bad)[:EXAMPLES]]
    raise HeadstartError(
        f"{shown(listing.root)}: {bad.sum():,} of {len(bad):,} files cannot be read, more than --max-bad "
        f"{100 * max_bad:g}%: {'; '.join(examples)}{'; ...' if bad.sum() > EXAMPLES else ''}; "
        "`headstart check` lists them all"
    )
