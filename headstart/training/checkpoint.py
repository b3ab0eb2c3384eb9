"""What training stands at after an epoch, kept on disk so that a killed trial goes on from there, bit for bit.

    <step>-<SHA-256>.safetensors   weights, best weights, what optimizers remember, states of generators; all else as
                                   JSON, in the tensor `values`

The name carries the checksum of the content, so that a file is whole or is not taken. docs/decisions/resume.md
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from headstart.results.files import write_bytes
from headstart.runtime.console import say
from headstart.runtime.failures import known
from headstart.runtime.text import shorten, shown
from headstart.training.optimizers import Schedule
from headstart.training.stopping import EarlyStopping

VERSION = 2  # of the file: raise it when an older headstart could not go on from it
SHARE = 0.01  # of the time to train, that checkpoints may take
FIRST_RATE = 2e8  # bytes a second that the first one is expected to be written at
MOST = 2  # that are kept: the last, and the one before it in case the last cannot be read
LONGEST = 60  # letters of a value that a message tells
VALUES = "values"  # the tensor that holds the JSON


@dataclass
class State:
    """All that changes while `fit` trains, beside the generators that a whole process shares.

    generator: that of the batches. history, changes: see `Fitted`. best: weights of the best epoch so far. begun: when
    training began, by `time.perf_counter`, had it never been interrupted.
    """

    model: nn.Module
    optimizers: Sequence[Optimizer]
    schedule: Schedule
    stopping: EarlyStopping
    generator: torch.Generator
    history: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[float, float]] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    begun: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """What training took until now, before an interruption too."""
        return time.perf_counter() - self.begun

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor; the best weights only where they are other ones than the present."""
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.best is not None and not self._is_best:
            found |= {f"best.{name}": value for name, value in self.best.items()}
        for place, optimizer in enumerate(self.optimizers):
            for index, remembered in optimizer.state_dict()["state"].items():
                for name, value in remembered.items():
                    if isinstance(value, Tensor):
                        found[f"optimizer.{place}.{index}.{name}"] = value
        found |= {"random.batches": self.generator.get_state(), "random.torch": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            found["random.cuda"] = torch.cuda.get_rng_state()  # of the one trained on: others may be gone by then
        return found

    def values(self) -> dict[str, Any]:
        """What is no tensor, as JSON can hold it."""
        name, keys, *rest = np.random.get_state()  # noqa: NPY002 - the one that all share
        return {
            "schedule": self.schedule.state_dict(),
            "rates": [[group["lr"] for group in each.param_groups] for each in self.optimizers],
            "stopping": vars(self.stopping),
            "history": self.history,
            "changes": self.changes,
            "has_best": self.best is not None,
            "seconds": self.seconds,
            "numpy": [name, np.asarray(keys).tolist(), *rest],
            "python": random.getstate(),
        }

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Stand where these were taken."""
        self.model.load_state_dict(_below("model.", tensors))
        for place, (optimizer, rates) in enumerate(zip(self.optimizers, values["rates"], strict=True)):
            _restore(optimizer, _below(f"optimizer.{place}.", tensors), rates)
        self.schedule.load_state_dict(values["schedule"])
        vars(self.stopping).update(values["stopping"])
        self.history[:] = values["history"]
        self.changes[:] = [(done, epochs) for done, epochs in values["changes"]]
        if values["has_best"]:
            kept = _below("best.", tensors)
            self.best = kept or copy.deepcopy(self.model.state_dict())
        self.begun = time.perf_counter() - values["seconds"]
        self.generator.set_state(tensors["random.batches"])
        torch.set_rng_state(tensors["random.torch"])
        if "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"])
        name, keys, *rest = values["numpy"]
        np.random.set_state((name, np.array(keys, np.uint32), *rest))  # noqa: NPY002 - as above
        version, numbers, gauss = values["python"]
        random.setstate((version, tuple(numbers), gauss))

    @property
    def _is_best(self) -> bool:
        return self.stopping.best_validation == self.stopping.validation


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore(optimizer: Optimizer, tensors: Mapping[str, Tensor], rates: Sequence[float]) -> None:
    """Let an optimizer remember these, `<parameter>.<name>`, each lying in memory as its parameter does: a fused step
    walks both as they lie."""
    whole = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    remembered: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        remembered.setdefault(int(index), {})[name] = value
    groups = [{**group, "lr": rate} for group, rate in zip(whole["param_groups"], rates, strict=True)]
    optimizer.load_state_dict({"state": remembered, "param_groups": groups})


class Checkpoints:
    """Those of one trial, in a folder of their own, at most MOST.

    made_by: all that the result depends on: from what was made by anything else training does not go on. name: what a
    person calls the trial. share: of the time to train, that writing them may take: an epoch that is over sooner than
    that allows is left out.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], name: str, share: float | None = None):
        self.folder, self.name = folder, name
        self.made_by = json.loads(json.dumps({"file": VERSION, **made_by}))
        self.share = SHARE if share is None else share
        self.last = time.perf_counter()  # when the last one was written
        self.cost: float | None = None  # seconds that it took
        self._has_failed = False

    def load(self, state: State) -> bool:
        """Let `state` stand where the latest of them was taken; False where there is none to go on from."""
        for path in reversed(self._kept()):
            try:
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() != _digest_in(path):
                    raise ValueError("its checksum differs")
                tensors = load(content)
                values = json.loads(tensors.pop(VALUES).numpy().tobytes())
            except (OSError, ValueError) as error:
                say(f"{shown(path)} cannot be read ({error}): {self.name} goes on without it")
                if isinstance(error, ValueError):  # damaged for ever: it must not count among those that are kept
                    path.unlink(missing_ok=True)
                continue
            if differs := _difference(values["made_by"], self.made_by):
                key, before, now = differs
                say(f"{self.name} was begun with {key} {_short(before)}, not {_short(now)}: it is trained anew")
                path.unlink(missing_ok=True)  # else it would stand before those of fewer steps that follow
                continue
            state.load(tensors, values)
            say(f"{self.name} goes on after epoch {state.history[-1]['epoch']:g}")
            return True
        return False

    def save(self, state: State) -> None:
        """Keep where `state` stands, unless the last one is too short ago for what that costs. What cannot be written
        is said, once, and done without."""
        started = time.perf_counter()
        tensors = state.tensors()
        cost = self.cost
        if cost is None:
            cost = sum(value.numel() * value.element_size() for value in tensors.values()) / FIRST_RATE
        if (started - self.last) * self.share < cost:
            return
        values = json.dumps({"made_by": self.made_by, **state.values()}).encode()
        tensors[VALUES] = torch.frombuffer(bytearray(values), dtype=torch.uint8)
        content = save({name: value.detach().contiguous() for name, value in tensors.items()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in self._kept()[: 1 - MOST]:  # before it is written: never are there more
                path.unlink()
            digest = hashlib.sha256(content).hexdigest()
            write_bytes(self.folder / f"{state.schedule.done}-{digest}.safetensors", content)
        except OSError as error:
            if not self._has_failed:
                say(f"no checkpoint of {self.name} could be written, {known(error) or error}; training goes on")
            self._has_failed = True
        self.last = time.perf_counter()
        self.cost = self.last - started

    def remove(self) -> None:
        """Once the run is kept: nothing of them is left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self) -> list[Path]:
        """Those that lie there, the oldest first."""
        found = [path for path in self.folder.glob("*-*.safetensors") if path.name.split("-")[0].isdigit()]
        return sorted(found, key=lambda path: int(path.name.split("-")[0]))


def _digest_in(path: Path) -> str:
    return path.stem.split("-")[1]


def _difference(before: Any, now: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The first (key, value before, value now) that is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        parts = ((name, before.get(name), now.get(name)) for name in dict.fromkeys([*before, *now]))
        found = (_difference(old, new, f"{key}.{name}" if key else name) for name, old, new in parts)
        return next((each for each in found if each), None)
    return None if before == now else (key, before, now)


def _short(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), LONGEST)
