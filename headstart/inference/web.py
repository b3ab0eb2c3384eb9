"""A page that classifies pictures: alone, with the network and what runs it inside, or in front of `headstart demo`.

web.html.j2 says where things stand, web.css how they look, web.js what a person does; web_alone.js and web_served.js
are the two engines that compute.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from headstart import __version__, theme
from headstart.errors import HeadstartError
from headstart.inference.doubt import Doubts
from headstart.inference.ort_web import SCRIPT, WASM, runtime
from headstart.options import CROP, LETTERBOX, STRETCH
from headstart.results import runs
from headstart.results.pictures import read_pictures
from headstart.runtime.text import in_a_line, shown

EXAMPLES = 12  # small test pictures on the page
MOST_SAID = 12  # classes that the first sentence lists
FITTED = {
    STRETCH: "taken whole, stretched into a square",
    CROP: "taken by its middle, a square",
    LETTERBOX: "taken whole, with bars beside it in a square",
}
COMPRESSION = 9  # of gzip: half a second, and 1 % less than 6
NETWORK = re.compile(rb'<script type="application/octet-stream" id="network">([A-Za-z0-9+/=]+)</script>')
ALONE = "Computed on your machine: nothing is sent, no picture leaves it, and it works without the internet."
SERVED = "Computed by the program that serves this page: pictures go there and nowhere else, and none is kept."
CAUTIONS = (
    "It knows these classes and no other: of a picture of anything else it names one of them all the same.",
    "Of answers that it gives 80 %, about 80 of 100 are right on pictures like those it was measured on; other "
    "cameras, places or cropping can change that.",
)


@dataclass(frozen=True)
class Example:
    """A small copy of a test picture. label: the name of its class. jpeg: its file."""

    label: str
    jpeg: bytes


@dataclass(frozen=True)
class Engine:
    """What computes, as a page has it. script: its text. policy: what the page may do for it, beside its own script and
    style. promise: where pictures go. waiting: what is said until it is ready. payloads: base64 by name."""

    script: str
    policy: Mapping[str, str]
    promise: str
    waiting: str
    payloads: Mapping[str, str]
    credit: str = ""


def page_alone(run: runs.Run, network: bytes, about: Mapping[str, Any]) -> str:
    """A page of one file that needs neither server nor network, as HTML.

    network: an ONNX file of a graph of whole photos, see `graph.WholePhotos`. about: what it says of itself. Raises
    HeadstartError where the cache lacks onnxruntime-web.
    """
    parts = runtime(offline=True)
    payloads = {"wasm": _packed(parts[WASM]), "network": _packed(network)}
    policy = {"script-src": "'wasm-unsafe-eval'", "img-src": "data: blob:", "media-src": "blob:"}
    credit = "It computes by ONNX Runtime Web, © Microsoft, MIT licence."
    script = _as_part(parts[SCRIPT].decode("utf-8")) + _text("web_alone.js")
    engine = Engine(script, policy, ALONE, "Getting ready …", payloads, credit)
    return _page(run, about, Doubts.from_json(about["predict"]).facts, engine)[0]


def page_served(run: runs.Run, about: Mapping[str, Any], most_bytes: int, heat: bool) -> tuple[str, str]:
    """A page whose pictures are given to the server that it comes from, as HTML, and its content policy.

    most_bytes: of a file. heat: whether the server makes heat maps.
    """
    data = {"most_bytes": most_bytes, "heat": heat}
    policy = {"connect-src": "'self'", "img-src": "data: blob:", "media-src": "blob:"}
    return _page(run, about, data, Engine(_text("web_served.js"), policy, SERVED, "Ready", {}))


def network_of(file: Path) -> bytes:
    """The ONNX file in a page; HeadstartError where there is none, or a damaged one."""
    found = NETWORK.search(file.read_bytes())
    try:
        if found is None:
            raise ValueError("it holds no network")
        return gzip.decompress(base64.b64decode(found[1]))
    except (ValueError, OSError, EOFError) as error:
        raise HeadstartError(f"{shown(file)} is no page with a network inside ({error}): export it again") from None


def examples_of(run: runs.Run) -> list[Example]:
    """Small pictures that a run, or after folds its folds, was tested on, as far as its comparison keeps them: EXAMPLES
    at most, and as many of each class as there are. The classifier need not be right about them."""
    comparison = _comparison_of(run)
    pictures = read_pictures(comparison)
    if pictures is None:
        return []
    names = run.config["dataset"]["class_names"]
    label_of: dict[int, int] = {}
    for each in [run] if run.images else runs.find_runs(comparison):  # after folds it was tested on none
        label_of |= dict(zip(each.places.tolist(), each.predictions()[1].tolist(), strict=True))
    seen: dict[int, int] = {}
    turns: list[tuple[int, int, Example]] = []  # the first of every class, then the second, ...
    for image in sorted(pictures.tests):
        if (label := label_of.get(image)) is not None:
            seen[label] = seen.get(label, -1) + 1
            turns.append((seen[label], label, Example(names[label], pictures.tests[image])))
    return [example for *_, example in sorted(turns, key=lambda turn: turn[:2])][:EXAMPLES]


def measured(run: runs.Run) -> str:
    """How good a run's classifier was found to be, in a sentence; empty where nothing says it."""
    said, data = runs.read_beside(_comparison_of(run), runs.COMPARISON), run.config["dataset"]
    if said is None:
        return "" if not runs.is_run(run.folder) else f"Measured: {_percent(run.metrics['accuracy'])} right."
    verdict, data = said["verdict"], said["dataset"]
    images = data["test"]
    if verdict["take"] == run.candidate:  # corrected for being the best of several, without images that leaked
        images = images - said.get("leaked_test_images", 0) or images
        metric, score = verdict["metric"].replace("-", " "), verdict["score"]
    else:
        score = said["summary"][run.candidate]["accuracy"]
        metric, score = "accuracy", {"value": score["mean"], **score}
    interval = f"95 % interval {100 * score['low']:.1f} to {100 * score['high']:.1f}"
    number = f"Measured {metric}: {_percent(score['value'])} ({interval})"
    if folds := data.get("folds"):
        seen = f"{'some of ' if run.candidate in said.get('dropped', {}) else ''}{images:,} pictures"
        own = "is one of those" if run.images else "was trained on all of them"
        return f"{number}, in {folds} folds on {seen} that the networks had not seen; this network {own}."
    return f"{number}, on {images:,} test pictures that it had not seen."


def _page(run: runs.Run, about: Mapping[str, Any], data: Mapping[str, Any], engine: Engine) -> tuple[str, str]:
    environment = Environment(
        loader=PackageLoader("headstart.inference", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = f"{engine.script}\n{_text('web.js')}", _style()
    rules = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "style-src": "", **engine.policy}
    rules["script-src"] = f"{_hash(script)} {rules.get('script-src', '')}".strip()
    rules["style-src"] = _hash(style)
    policy = "; ".join(f"{rule} {value}" for rule, value in rules.items())
    names = list(about["class_names"])
    page = environment.get_template("web.html.j2").render(
        policy=Markup(policy),  # quotes and all: it is our own
        style=Markup(style),
        script=Markup(script),
        name=about["dataset"]["name"],
        candidate=about["candidate"],
        classes=[in_a_line(it) for it in names],
        most_said=MOST_SAID,
        measured=measured(run),
        promise=engine.promise,
        waiting=engine.waiting,
        held_out=run.images > 0,
        examples=[{"label": it.label, "jpeg": base64.b64encode(it.jpeg).decode("ascii")} for it in examples_of(run)],
        facts=_facts(run, about),
        cautions=[*Doubts.from_json(about["predict"]).explained, *CAUTIONS],
        version=__version__,
        credit=engine.credit,
        data={"classes": names, **data},
        payloads={name: Markup(text) for name, text in engine.payloads.items()},
    )
    return page.encode("utf-8", "replace").decode("utf-8"), policy  # a name may hold half a surrogate pair


def _facts(run: runs.Run, about: Mapping[str, Any]) -> dict[str, str]:
    names = about["class_names"]
    square = {"A picture is": f"{FITTED[about['fit']]} of {about['sides'][-1]} pixels a side"} if about["sides"] else {}
    listed = {"Classes": ", ".join(map(in_a_line, names))} if len(names) > MOST_SAID else {}
    return {
        "Trained on": f"{run.config['dataset']['train']:,} pictures of {about['dataset']['name']}",
        **listed,
        "Network": f"{about['candidate']}: {run.config['strategy']['summary']}",
        **square,
    }


def _comparison_of(run: runs.Run) -> Path:
    """The folder of the comparison that a run is in: one up for the classifier after folds, else two."""
    above = run.folder.resolve().parent
    return above if (above / runs.COMPARISON).exists() else above.parent


def _style() -> str:
    def variables(colours: Mapping[str, str]) -> str:
        return ":root { " + " ".join(f"--{name}: {value};" for name, value in colours.items()) + " }"

    dark = f"@media screen and (prefers-color-scheme: dark) {{ {variables(theme.DARK)} }}"
    return f"{variables(theme.LIGHT)}\n{dark}\n{_text('web.css')}"


def _as_part(module: str) -> str:
    """The text of onnxruntime-web's module as the first part of another one, where its exports are fields of `ort`."""
    found = re.fullmatch(r"(.*)export\{([^{}]*)\};\s*(?://# sourceMappingURL=\S*\s*)?", module, re.DOTALL)
    assert found, "its content is pinned"
    fields = (each.split(" as ") for each in found[2].split(","))
    return f"{found[1]}const ort={{{','.join(f'{name}:{own}' for own, name in fields if name != 'default')}}};\n"


def _text(name: str) -> str:
    return resources.files("headstart.inference").joinpath(name).read_text(encoding="utf-8")


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, COMPRESSION, mtime=0)).decode("ascii")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
