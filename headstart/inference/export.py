"""`headstart export`: a classifier as one file that other programs run, kept only if it says what was measured."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headstart import __version__
from headstart.data.dataset import Dataset, Subset
from headstart.data.findings import counted
from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.doubt import Doubts
from headstart.inference.formats import FORMATS, SCHEMA, Format, refuse_missing
from headstart.inference.graph import WholePhotos
from headstart.inference.novelty import Novelty
from headstart.inference.parity import Parity, compared, far_of, latency_ms, measured_of, refuse, said_of
from headstart.inference.quantised import POINT, Loss, difference, quantise, tell
from headstart.inference.quantised import refuse as refuse_loss
from headstart.inference.tested import chosen_by, data_of, images_of
from headstart.options import EXPORTED, MAX_LOSS, ONNX
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import chosen_run
from headstart.results.files import sha256, write_json
from headstart.runtime.cache import temporary_folder
from headstart.runtime.console import say
from headstart.runtime.device import environment, keep_freed_memory
from headstart.runtime.failures import machine_errors
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown
from headstart.values import given, one_of, path, points

INT8 = ".int8"  # in the name of a file of 8 bits


@machine_errors()
def export(
    run: str | Path,
    to: str = ONNX,
    output: str | Path | None = None,
    data: Dataset | str | Path | None = None,
    int8: bool = False,
    max_loss: float | str | None = None,
    **finding: Any,
) -> Path:
    """Write a classifier to one file, which takes whole photos and gives calibrated probabilities; returns where.

    run: a run's folder, or a comparison's, for the one that it recommends. to: one of FORMATS. output: by default
    `exports/<candidate>` in that folder. data: the data set that the run was tested on, or its place (None: where it
    was). int8: in whole numbers of 8 bits, of ONNX only, if that loses no more than `max_loss` points of accuracy, by
    default MAX_LOSS.
    finding: what else `load` needs to find it: `data_dir`, `follow_links`, `offline`.

    The file is run over the whole test set before it is kept, and what was found lies beside it as JSON. Raises
    HeadstartError, and keeps nothing, where it says otherwise than the classifier and its predictions; where the images
    are gone or are others, a package is missing, or there is a file already.
    """
    folder, form = given("run", run, path), FORMATS[given("to", to, one_of(EXPORTED))]
    if max_loss is not None and not int8:
        raise HeadstartError("--max-loss is of --int8: give both, or neither")
    allowed = POINT * given("max_loss", MAX_LOSS if max_loss is None else max_loss, points)
    if int8 and to != ONNX:
        raise HeadstartError(f"--int8 is of {ONNX}: leave --to {to} or --int8 out")
    refuse_missing(to)
    if form.fetch:
        form.fetch(finding.get("offline", False))
    keep_freed_memory()  # PyTorch is to classify all of test
    classifier, chosen = Classifier.load(folder), chosen_run(folder)
    reference = novelty.reference if (novelty := Novelty.of(chosen)) else None
    graph = WholePhotos(classifier.network, classifier.sides, classifier.fit, classifier.temperature, reference)
    default = folder / runs.EXPORTS / f"{chosen.candidate}{INT8 if int8 else ''}{form.suffix}"
    place = default if output is None else given("output", output, path)
    refuse_taken(place, form)
    tested_on = data_of(chosen, data, **finding)
    images = images_of(chosen, tested_on)
    with temporary_folder(place if place.parent.is_dir() else place.parent) as there:
        file = there / place.name
        if not (told := about_of(chosen, classifier))["predict"]["sureness"]:
            say("The file will not know which answers are unsure: nothing that the run keeps can show it")
        form.write(graph, told, file, chosen)
        runs_it, about = form.read(file)
        said, measured = said_of(images.images, runs_it, form.suffix), measured_of(chosen, classifier)
        found = compared(runs_it, said, classifier, images, measured, form.rounding, far_of(chosen))
        refuse(found)
        say(found.said)
        loss, doubts = None, about["predict"]
        if int8:
            loss, doubts = _in_int8(file, said, found, images, chosen_by(chosen, tested_on), allowed)
        facts = {"int8": loss.as_json(), "predict": doubts} if loss else {}
        write_json(beside(file), {**about, **_facts(to, file, chosen, found), **facts})
        place.parent.mkdir(parents=True, exist_ok=True)
        for each in (beside(file), *form.files(file)):
            each.rename(place.parent / each.name)
    _vouch(beside(place), *form.files(place))
    if reference is not None:
        say(f"features of {counted(len(reference), 'training image')} travel with it: by them it knows what is unlike")
    if loss:
        say(loss.said)
    return place


def _in_int8(
    file: Path,
    said: tuple[np.ndarray, ...],
    found: Parity,
    images: Subset,
    calibration: tuple[str, Subset],
    allowed: float,
) -> tuple[Loss, dict[str, Any]]:
    """Make an ONNX file that said so of images, and was `found` right, one of 8 bits; HeadstartError where that loses
    more accuracy than is `allowed`. Returns what it lost, and its own `Doubts`, none where no image was left over."""
    before, (part, seen) = file.stat().st_size, calibration
    looked_at = quantise(file, seen.images)
    run, _ = FORMATS[ONNX].read(file)
    now, doubts = said_of(images.images, run, "8 bits"), Doubts()
    if part == "val":
        doubts = Doubts.of_file((said_of(seen.images, run, "8 bits"), seen.labels), (now, images.labels))
    tell(file, predict=doubts.as_json())
    loss = Loss(
        held_out=found.measured,
        calibrated_on=part,
        calibration_images=looked_at,
        allowed=allowed,
        bytes_fp32=before,
        bytes=file.stat().st_size,
        latency_ms_fp32=found.latency_ms,
        latency_ms=latency_ms(run, images.images[:1]),
        **difference(said[0], now[0], images),
    )
    refuse_loss(loss)
    return loss, doubts.as_json()


def beside(file: Path) -> Path:
    """Where what was found about an exported file lies."""
    return file.with_name(f"{file.name}.json")


def refuse_taken(place: Path, form: Format) -> None:
    """Raise HeadstartError where an export cannot be written to a path, or would overwrite something."""
    if place.suffix != form.suffix:
        raise HeadstartError(f"{shown(place)}: the name of this export ends in {form.suffix}")
    for each in (*form.files(place), beside(place)):
        if os.path.lexists(each):
            raise HeadstartError(
                f"{shown(each)} is there already, and nothing is overwritten: name another with --output, or delete it"
            )
    refuse_unwritable(place, "name another file with --output")


def about_of(run: runs.Run, classifier: Classifier) -> dict[str, Any]:
    """What an exported file says of itself, JSON; a format adds its `opset` and its `producer`.

    predict: what tells when not to answer, see `Doubts`.
    """
    data = run.config["dataset"]
    return {
        "schema": SCHEMA,
        "headstart": __version__,
        "candidate": run.candidate,
        "dataset": {"name": data["name"], "fingerprint": data["fingerprint"]},
        "class_names": list(classifier.class_names),
        "sides": list(classifier.sides),
        "fit": classifier.fit,
        "whites": dict(classifier.whites),
        "temperature": classifier.temperature,
        "predict": Doubts.of(run).as_json(),
    }


def _facts(to: str, file: Path, run: runs.Run, found: Parity) -> dict[str, Any]:
    """What the JSON beside an exported file says beyond what the file does."""
    packages, files = ("pillow", *FORMATS[to].packages), FORMATS[to].files(file)
    return {
        "bytes": sum(each.stat().st_size for each in files),
        "sha256": sha256(file),
        "parts": {each.suffix: sha256(each) for each in files[1:]},
        "weights_sha256": sha256(run.model),
        "parity": found.as_json(),
        "environment": environment(),
        "versions": {name: version(name) for name in packages},
    }


def _vouch(*written: Path) -> None:
    """Renew the checksums of the finished folder that an export lies in, if it lies in one."""
    places = [each.resolve() for each in written]
    for folder in places[0].parents:
        networks = (network for depth in ("*", "*/*") for network in folder.glob(f"{depth}/{runs.MODEL}"))
        if runs.is_finished(folder) and any(networks):  # others have a SHA256SUMS, too
            renew_checksums(folder, *(each.relative_to(folder).as_posix() for each in places))
            return
