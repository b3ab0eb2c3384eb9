"""The training loop. There is one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from headstart.errors import HeadstartError
from headstart.runtime.device import precision_of
from headstart.runtime.signals import stop_if_asked, whole_batches
from headstart.strategies import Recipe
from headstart.training.batches import Samples, in_order, mixed, without_end
from headstart.training.checkpoint import Checkpoints, State
from headstart.training.optimizers import Schedule, make_optimizers
from headstart.training.parts import Part, align, refuse_few, summed
from headstart.training.stopping import EarlyStopping

EVALUATION_BATCH = 100  # images: at 192 pixels the first maps of so many take half a gigabyte

Row = dict[str, Any]


class TrainVal(NamedTuple):
    """What is learned from, and what every choice is made on."""

    train: Samples
    val: Samples


@dataclass(frozen=True, eq=False)
class Loss:
    """Cross-entropy as a recipe has it: mean over a batch. weight: (C,) of the classes, None where all are the same."""

    weight: Tensor | None = None
    label_smoothing: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe, labels: Tensor) -> Loss:
        """A recipe's, classes weighted by how rare they are among `labels` (N,) where they are to be balanced."""
        weight = None
        if recipe.class_weights == "balanced":
            counts = labels.bincount().float()
            weight = len(labels) / (len(counts) * counts.clamp(min=1))
        return cls(weight, recipe.label_smoothing)

    def __call__(self, logits: Tensor, labels: Tensor, whole: Tensor | None = None) -> Tensor:
        """Of logits (N, C) and labels (N,). whole: labels of the batch that these are a part of (None: they are all of
        it), to whose mean this is then their contribution."""
        loss = F.cross_entropy(logits, labels, self.weight, label_smoothing=self.label_smoothing)
        return loss if whole is None else loss * (self._weight_of(labels) / self._weight_of(whole))

    def _weight_of(self, labels: Tensor) -> Tensor | int:
        return len(labels) if self.weight is None else self.weight[labels].sum()


@dataclass(frozen=True)
class Watch:
    """Who is told while training goes on: of every row of the history, and of every batch, how many images it had.

    epochs: asked after every validation but the last, and given how many epochs are over, how many there are to be in
    all; None where that stays as it is.
    """

    on_row: Callable[[Row], None] = lambda row: None
    on_batch: Callable[[int], None] = lambda images: None
    epochs: Callable[[float], float | None] | None = None


@dataclass(frozen=True)
class Fitted:
    """history: a row a validation, see `fit`. ended: one sentence that says why training broke off; empty where it did
    not, also where it was stopped early. changes: (epochs that were over, epochs there were to be in all from then on),
    as `Watch.epochs` had it. seconds: of all of it, before an interruption too."""

    history: list[Row]
    ended: str = ""
    changes: tuple[tuple[float, float], ...] = ()
    seconds: float = 0.0


def fit(
    model: nn.Module,
    samples: TrainVal,
    recipe: Recipe,
    fabric: Fabric,
    seed: int,
    watch: Watch | None = None,
    checkpoints: Checkpoints | None = None,
) -> Fitted:
    """Train `model` in place by `recipe` and leave it with the weights of its best epoch: the lowest loss on val; where
    val is empty nothing can be chosen: no epoch is spared, the last weights stay, and loss and accuracy on val are NaN.

    The history has a row a validation, mostly one an epoch: epoch (how many are over, to three decimals), then, since
    the row before: seconds, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate (of the recipe's last
    group, as it began), images_per_second (of training alone). Losses are what is minimised, label smoothing included.
    Where `fabric` has several processes, all of them call this with the same, and end with the same: watch and
    checkpoints are the first one's. A loss that is not finite breaks training off, which `ended` says; HeadstartError
    where no epoch before it was good.
    checkpoints: from which it goes on, where there are any, as if it had never been interrupted, and which it leaves;
    rows of epochs from before are told to `watch` once more.
    """
    (train, val), watch = samples, watch or Watch()
    refuse_few(min(recipe.batch_size, len(train)), fabric)
    dtype = torch.bfloat16 if precision_of(fabric) == "bf16-mixed" else torch.float32
    optimizers = make_optimizers(model, recipe, dtype)
    wrapped, *stepped = fabric.setup(model, *optimizers)
    epoch = max(1, len(train) // recipe.batch_size)  # in steps
    schedule, stopping = (
        Schedule(stepped, recipe, steps_of(recipe.epochs, epoch)),
        EarlyStopping(recipe.patience if len(val) else None),
    )
    loss_of = Loss.of(recipe, train.labels.to(fabric.device))
    state = State(model, optimizers, schedule, stopping, torch.Generator().manual_seed(seed))
    if checkpoints is not None and checkpoints.load(state):
        for row in state.history:
            watch.on_row(row)
    align(state, fabric)
    batches = without_end(train, recipe, fabric.device, state.generator, schedule.done // epoch)
    history, ended = state.history, ""
    while schedule.done < schedule.end and not stopping.should_stop:
        started, learning_rate = time.perf_counter(), stepped[-1].param_groups[0]["lr"]
        some = islice(batches, min(recipe.validate_every * epoch, schedule.end - schedule.done))
        with whole_batches():
            train_loss, train_accuracy, count = train_epoch(
                wrapped, _told(some, watch), schedule, recipe.mixup, loss_of, fabric
            )
        train_seconds = time.perf_counter() - started
        val_loss, val_accuracy = validate(model, val, loss_of, fabric) if len(val) else (math.nan, math.nan)
        done = epochs_of(schedule.done, epoch)
        if not math.isfinite(train_loss + (val_loss if len(val) else 0)):
            if state.best is None:
                raise HeadstartError(f"the loss is not finite by epoch {done}: the learning rate is too high here")
            kept = min(history, key=lambda row: row["val_loss"])["epoch"]
            ended = (
                f"the loss was not finite by epoch {done}: training stopped, and the weights of epoch {kept} are kept"
            )
            break
        row = {
            "epoch": done,
            "seconds": time.perf_counter() - started,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "learning_rate": learning_rate,
            "images_per_second": count / train_seconds,
        }
        history.append(fabric.broadcast(row))  # all go on by the numbers of the first process
        val_loss = history[-1]["val_loss"]
        if stopping.update(val_loss):
            state.best = copy.deepcopy(model.state_dict())
        watch.on_row(history[-1])
        schedule.after_validation(val_loss)
        goes_on = schedule.done < schedule.end
        epochs = fabric.broadcast(watch.epochs(done) if watch.epochs and goes_on else None)
        if epochs is not None:
            schedule.end_at(steps_of(epochs, epoch))
            state.changes.append((done, epochs))
        if checkpoints is not None:
            checkpoints.save(state)
        stop_if_asked()  # since the last batch
    if state.best is not None:
        model.load_state_dict(state.best)
    return Fitted(history, ended, tuple(state.changes), state.seconds)


def steps_of(epochs: float, epoch: int) -> int:
    """Steps in so many epochs of `epoch` steps; at least one."""
    return max(1, round(epochs * epoch))


def epochs_of(steps: int, epoch: int) -> float:
    """Epochs of `epoch` steps in so many; a whole number where they are whole, and never none."""
    return max(0.001, round(steps / epoch, 3)) if steps % epoch else steps // epoch


def _told(batches: Iterable[tuple[Tensor, Tensor]], watch: Watch) -> Iterator[tuple[Tensor, Tensor]]:
    """The same batches; whoever watches is told of each after it was trained on, and one that is to be the last is."""
    for inputs, labels in batches:
        yield inputs, labels
        watch.on_batch(len(labels))
        stop_if_asked()


def train_epoch(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    schedule: Schedule,
    mixup: float,
    loss_of: Loss,
    fabric: Fabric,
) -> tuple[float, float, int]:
    """Train on every batch once; returns mean loss and accuracy (of each image as it was seen) and their number.

    Of several processes each has its part of every batch: what it adds to the batch's mean loss is multiplied by their
    number, as ddp takes the mean of their gradients.
    """
    model.train()
    loss_sum, correct, count = torch.zeros((), device=fabric.device), torch.zeros((), device=fabric.device), 0
    for inputs, labels in batches:
        inputs, targets = mixed(inputs, labels, mixup)
        part = Part.of(len(labels), fabric)
        with part.seeing_all():
            logits = model(inputs[part.mine])  # (N, C)
        whole = part.processes == 1
        losses = [share * loss_of(logits, each[part.mine], None if whole else each) for each, share in targets]
        loss = torch.stack(losses).sum()
        fabric.backward(loss if whole else loss * part.processes)
        schedule.step()
        with torch.no_grad():  # summed on the device: asking for a number here would wait for it
            loss_sum += loss * len(labels)
            correct += (logits.argmax(dim=1) == labels[part.mine]).sum()
            count += len(labels)
    loss_sum, correct = summed(fabric, loss_sum, correct)
    return loss_sum.item() / count, correct.item() / count, count


def validate(model: nn.Module, val: Samples, loss_of: Loss, fabric: Fabric) -> tuple[float, float]:
    """Mean loss and accuracy on val, of which each process looks at its part. model: as it was before `fabric.setup`,
    after which processes wait for each other at every batch, and parts may have more or fewer."""
    part = Part.of(len(val), fabric)
    if part.processes == 1:
        return score(predict(model, val, fabric), val.labels, loss_of)
    loss = correct = torch.zeros((), device=fabric.device)
    mine = Samples(val.inputs, val.rows[:, part.mine], val.labels[part.mine], val.views)
    if len(mine):
        logits, labels = predict(model, mine, fabric), mine.labels.to(fabric.device)
        loss = loss_of(logits, labels, val.labels.to(fabric.device))
        correct = (logits.argmax(dim=1) == labels).sum()
    loss, correct = summed(fabric, loss, correct)
    return loss.item(), correct.item() / len(val)


@torch.inference_mode()
def predict(model: nn.Module, samples: Samples, fabric: Fabric, view: int = 0, exact: bool = False) -> Tensor:
    """Logits (N, C) float32, on the device, of every sample under one of its views; exact: in float32 throughout, as
    networks are used, and not in the precision of training."""
    model.eval()
    batches = in_order(samples, view, EVALUATION_BATCH, fabric.device)
    with nullcontext() if exact else fabric.autocast():
        return torch.cat([model(inputs).float() for inputs, _ in batches])


def score(logits: Tensor, labels: Tensor, loss_of: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
    """Mean loss, as training has it, and accuracy of logits (N, C) on labels (N,)."""
    labels = labels.to(logits.device)
    loss = loss_of(logits, labels).item()
    return loss, (logits.argmax(dim=1) == labels).float().mean().item()
