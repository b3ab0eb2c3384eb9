"""`headstart export`: a classifier as one file that other programs run, kept only if it says what was measured."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headstart import __version__
from headstart.data.dataset import Dataset
from headstart.data.findings import counted
from headstart.errors import HeadstartError
from headstart.inference.classifier import Classifier
from headstart.inference.doubt import Doubts
from headstart.inference.formats import FORMATS, SCHEMA, refuse_missing
from headstart.inference.graph import WholePhotos
from headstart.inference.novelty import Novelty
from headstart.inference.parity import Parity, compared, far_of, measured_of, refuse
from headstart.inference.tested import data_of, images_of
from headstart.options import EXPORTED, ONNX
from headstart.results import runs
from headstart.results.checksums import renew_checksums
from headstart.results.comparison import chosen_run
from headstart.results.files import sha256, write_json
from headstart.runtime.cache import temporary_folder
from headstart.runtime.console import say
from headstart.runtime.device import environment
from headstart.runtime.failures import machine_errors
from headstart.runtime.places import refuse_unwritable
from headstart.runtime.text import shown
from headstart.values import given, one_of, path


@machine_errors()
def export(
    run: str | Path,
    to: str = ONNX,
    output: str | Path | None = None,
    data: Dataset | str | Path | None = None,
    **finding: Any,
) -> Path:
    """Write a classifier to one file, which takes whole photos and gives calibrated probabilities; returns where.

    run: a run's folder, or a comparison's, for the one that it recommends. to: one of FORMATS. output: by default
    `exports/<candidate>` in that folder. data: the data set that the run was tested on, or its place (None: where it
    was). finding: what else `load` needs to find it: `data_dir`, `follow_links`, `offline`.

    The file is run over the whole test set before it is kept, and what was found lies beside it as JSON. Raises
    HeadstartError, and keeps nothing, where it says otherwise than the classifier and its predictions; where the images
    are gone or are others, a package is missing, or there is a file already.
    """
    folder, form = given("run", run, path), FORMATS[given("to", to, one_of(EXPORTED))]
    refuse_missing(to)
    if form.fetch:
        form.fetch(finding.get("offline", False))
    classifier, chosen = Classifier.load(folder), chosen_run(folder)
    reference = novelty.reference if (novelty := Novelty.of(chosen)) else None
    graph = WholePhotos(classifier.network, classifier.sides, classifier.fit, classifier.temperature, reference)
    default = folder / runs.EXPORTS / f"{chosen.candidate}{form.suffix}"
    place = default if output is None else given("output", output, path)
    refuse_taken(place, form.suffix)
    images = images_of(chosen, data_of(chosen, data, **finding))
    with temporary_folder(place if place.parent.is_dir() else place.parent) as there:
        file = there / place.name
        if not (told := about_of(chosen, classifier))["predict"]["sureness"]:
            say("The file will not know which answers are unsure: nothing that the run keeps can show it")
        form.write(graph, told, file, chosen)
        runs_it, about = form.read(file)
        measured = measured_of(chosen, classifier)
        found = compared(runs_it, classifier, images, measured, form.rounding, far_of(chosen))
        refuse(found)
        write_json(beside(file), {**about, **_facts(to, file, chosen, found)})
        place.parent.mkdir(parents=True, exist_ok=True)
        for each in (beside(file), file):
            each.rename(place.with_name(each.name))
    _vouch(place)
    if reference is not None:
        say(f"features of {counted(len(reference), 'training image')} travel with it: by them it knows what is unlike")
    say(found.said)
    return place


def beside(file: Path) -> Path:
    """Where what was found about an exported file lies."""
    return file.with_name(f"{file.name}.json")


def refuse_taken(place: Path, suffix: str) -> None:
    """Raise HeadstartError where an export cannot be written to a path, or would overwrite something."""
    if place.suffix != suffix:
        raise HeadstartError(f"{shown(place)}: the name of this export ends in {suffix}")
    for each in (place, beside(place)):
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
        "predict": Doubts.of(run, classifier.temperature).as_json(),
    }


def _facts(to: str, file: Path, run: runs.Run, found: Parity) -> dict[str, Any]:
    """What the JSON beside an exported file says beyond what the file does."""
    packages = ("pillow", *FORMATS[to].packages)
    return {
        "bytes": file.stat().st_size,
        "sha256": sha256(file),
        "weights_sha256": sha256(run.model),
        "parity": found.as_json(),
        "environment": environment(),
        "versions": {name: version(name) for name in packages},
    }


def _vouch(place: Path) -> None:
    """Renew the checksums of the finished folder that an export lies in, if it lies in one."""
    place = place.resolve()
    for folder in place.parents:
        if runs.is_finished(folder):
            renew_checksums(folder, *(each.relative_to(folder).as_posix() for each in (place, beside(place))))
            return
