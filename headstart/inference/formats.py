"""The formats that a classifier is exported to: how each file is written, and how it is run."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart import __version__
from headstart.data.findings import counted
from headstart.errors import HeadstartError
from headstart.inference.graph import WholePhotos
from headstart.inference.ort_web import runtime
from headstart.inference.web import examples_of, network_of, page_alone
from headstart.options import ONNX, OPENVINO, TORCH, WEB
from headstart.results import runs
from headstart.results.files import reading, write_text
from headstart.runtime.console import say
from headstart.runtime.text import shown

SCHEMA = 1  # of what an exported file says of itself
OPSET = 20  # of ONNX: the one that torch translates to without a conversion after it
ABOUT = "headstart"  # the key under which a file holds it, as JSON
OUTPUTS = ("probabilities", "features", "distances")  # the last one where the run keeps what that needs
EXPORT_AGAIN = "export it again: headstart export RUN"
ANY_SHAPE = (dict.fromkeys(range(3), torch.export.Dim.DYNAMIC),)  # N, H and W
LARGE = 1024  # numbers, from which on a tensor of weights is worth halving

Run = Callable[[np.ndarray], tuple[np.ndarray, ...]]
"""Pixels (N, H, W, 3) uint8, upright RGB -> probabilities (N, C), features (N, D) and, where the file knows training's,
distances (N,) from those: see `graph.WholePhotos`. All float32."""


@dataclass(frozen=True)
class Format:
    """One row: a kind of file that a classifier can be exported to.

    write: a graph and what the file is to say of itself, to a path, of a run. read: from a path, what runs it, and what
    it says. packages: that both need, beyond those that training needs. is_pickle: whether reading may run what the
    file says, so that only the file that was written this moment is read. rounding: of a probability, by its
    arithmetic, where sums come in another order or weights have fewer bits. fetch: gets what else it is made of, from
    the network if need be, unless told to be offline. engine: what runs it. parts: suffixes of further files that
    belong to it, in the place of its own.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[WholePhotos, Mapping[str, Any], Path, runs.Run], None]
    read: Callable[[Path], tuple[Run, dict[str, Any]]]
    is_pickle: bool = False
    rounding: float = 1e-5
    fetch: Callable[[bool], object] | None = None
    engine: str = "onnxruntime"
    parts: tuple[str, ...] = ()

    def files(self, file: Path) -> list[Path]:
        """All that are written for one: itself, and its parts."""
        return [file, *(file.with_suffix(each) for each in self.parts)]


def write_onnx(graph: WholePhotos, about: Mapping[str, Any], file: Path, _: runs.Run) -> None:
    """Write one ONNX file; about: what it is to say of itself."""
    pixels = _example(graph)
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            (pixels,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixels"],
            output_names=OUTPUTS[: len(OUTPUTS) - (graph.reference is None)],
            dynamic_shapes=ANY_SHAPE,
            verbose=False,
        )
    assert program is not None
    model = program.model
    model.producer_name, model.producer_version = "headstart", __version__
    model.metadata_props[ABOUT] = json.dumps({**about, "opset": OPSET, "producer": f"torch {torch.__version__}"})
    program.save(str(file))


def read_onnx(file: Path) -> tuple[Run, dict[str, Any]]:
    """Open an ONNX file with ONNX Runtime, on as many threads as torch has."""
    with reading(file, EXPORT_AGAIN):
        return _opened(file.read_bytes(), file)


def _opened(content: bytes, file: Path) -> tuple[Run, dict[str, Any]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with reading(file, EXPORT_AGAIN):
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        about = json.loads(session.get_modelmeta().custom_metadata_map[ABOUT])
    outputs = [each.name for each in session.get_outputs()]

    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(session.run(outputs, {"pixels": pixels}))

    return run, about


def halve(file: Path) -> None:
    """Store the weights of an ONNX file in 16 bits, each tensor made 32 bits again before it is used: half the size.

    They are whole numbers times a scale a row, which is finer than float16 for all but the smallest: of a `last20` of
    CIFAR-10 that one differed by up to 0.016 of a probability over 10,000 images.
    """
    import onnx

    model = onnx.load(file)
    weights, helper = model.graph.initializer, onnx.helper
    for tensor in list(weights):
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2 or np.prod(tensor.dims) < LARGE:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        scale = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / np.iinfo(np.int16).max
        scale[scale == 0] = 1
        whole, scales, made = (f"{tensor.name}_{part}" for part in ("whole", "scale", "float"))
        weights.remove(tensor)
        weights.append(onnx.numpy_helper.from_array(np.round(values / scale).astype(np.int16), whole))
        weights.append(onnx.numpy_helper.from_array(scale, scales))
        model.graph.node.insert(0, helper.make_node("Mul", [made, scales], [tensor.name], name=f"{whole}_mul"))
        model.graph.node.insert(0, helper.make_node("Cast", [whole], [made], to=onnx.TensorProto.FLOAT, name=made))
    onnx.save(model, file)


def write_openvino(graph: WholePhotos, about: Mapping[str, Any], file: Path, run: runs.Run) -> None:
    """Write OpenVINO's two files, its graph and its weights, in 32 bits.

    It takes one photo at a time: where height, width and number are all open, OpenVINO 2026.4.1 answers the first batch
    of each size wrongly.
    """
    import openvino

    network = file.with_suffix(".onnx")
    write_onnx(graph, about, network, run)
    model = openvino.Core().read_model(network)
    model.reshape(openvino.PartialShape([1, -1, -1, 3]))
    model.set_rt_info(json.dumps({**about, "opset": OPSET, "producer": f"openvino {openvino.__version__}"}), ABOUT)
    openvino.save_model(model, file, compress_to_fp16=False)
    network.unlink()


def read_openvino(file: Path) -> tuple[Run, dict[str, Any]]:
    """Open such a pair of files, on as many threads as torch has."""
    import openvino

    with reading(file, EXPORT_AGAIN):
        core = openvino.Core()
        model = core.read_model(file)
        about = json.loads(model.get_rt_info(ABOUT).astype(str))
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
        request = core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **threads}
        ).create_infer_request()

    outputs = [each.get_any_name() for each in model.outputs]

    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        said = [request.infer([photo[None]]) for photo in np.ascontiguousarray(pixels)]  # copies of its outputs
        return tuple(np.concatenate([each[name] for each in said]) for name in outputs)

    return run, about


def write_torch(graph: WholePhotos, about: Mapping[str, Any], file: Path, _: runs.Run) -> None:
    """Write a program of torch.export; about: what it is to say of itself."""
    pixels = _example(graph)
    said = json.dumps({**about, "opset": None, "producer": f"torch {torch.__version__}"})
    with quiet(), torch.no_grad():
        program = torch.export.export(graph, (pixels,), dynamic_shapes=ANY_SHAPE)
        torch.export.save(program, file, extra_files={ABOUT: said})


def read_torch(file: Path) -> tuple[Run, dict[str, Any]]:
    """Open a program of torch.export that was written here: torch unpickles a part of it."""
    said = {ABOUT: ""}
    with quiet(), reading(file, EXPORT_AGAIN):
        # Its guards are against a photo that is a square of the right size already; the program is right there, too.
        module = torch.export.load(file, extra_files=said).module(check_guards=False)
        about = json.loads(said[ABOUT])

    @torch.no_grad()
    def run(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(each.numpy() for each in module(torch.from_numpy(np.array(pixels))))

    return run, about


def write_web(graph: WholePhotos, about: Mapping[str, Any], file: Path, run: runs.Run) -> None:
    """Write one HTML file that needs neither server nor network, its weights in 16 bits."""
    network = file.with_suffix(".onnx")
    write_onnx(graph, about, network, run)
    halve(network)
    write_text(file, page_alone(run, network.read_bytes(), about))
    if shown_too := len(examples_of(run)):
        say(f"{counted(shown_too, 'small test picture')} travel with the page")
    network.unlink()


def read_web(file: Path) -> tuple[Run, dict[str, Any]]:
    """Open the network in a page with ONNX Runtime."""
    return _opened(network_of(file), file)


FORMATS = {
    ONNX: Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), write_onnx, read_onnx),
    OPENVINO: Format(
        ".xml",
        ("onnx", "onnxscript", "openvino"),
        write_openvino,
        read_openvino,
        engine="openvino",
        parts=(".bin",),
    ),
    TORCH: Format(".pt2", (), write_torch, read_torch, is_pickle=True, engine="torch"),
    WEB: Format(".html", ("onnx", "onnxscript", "onnxruntime"), write_web, read_web, rounding=0.005, fetch=runtime),
}


def refuse_missing(to: str) -> None:
    """Raise HeadstartError where a package is missing that a format needs."""
    missing = [name for name in FORMATS[to].packages if importlib.util.find_spec(name) is None]
    if missing:
        extra = "cpu" if missing == ["openvino"] else "export"
        raise HeadstartError(f"export needs {' and '.join(missing)}: pip install 'headstart[{extra}]'")


def format_of(file: Path) -> str:
    """Which of FORMATS an exported file has by its name; HeadstartError where it is none that may be read."""
    to = next((name for name, each in FORMATS.items() if each.suffix == file.suffix and not each.is_pickle), None)
    if to is None:
        known = ", ".join(each.suffix for each in FORMATS.values() if not each.is_pickle)
        raise HeadstartError(f"{shown(file)} is no exported classifier: their names end in {known}")
    return to


def open_file(file: Path) -> tuple[Run, dict[str, Any]]:
    """What runs an exported file, and what it says of itself; HeadstartError where it is none, or a newer
    headstart wrote it."""
    to = format_of(file)
    refuse_missing(to)
    run, about = FORMATS[to].read(file)
    schema = about.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise HeadstartError(
            f"{shown(file)} was written by a newer headstart (schema {schema}; this one reads up to {SCHEMA}): "
            "update it"
        )
    return run, about


def _example(graph: WholePhotos) -> torch.Tensor:
    """Photos to trace a graph with, by which what it keeps between calls exists: export takes that as constants."""
    pixels = torch.zeros(2, 50, 70, 3, dtype=torch.uint8)
    with torch.no_grad():
        graph.eval()(pixels)
    return pixels


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters say to their own developers."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
