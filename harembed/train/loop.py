"""The training loop: all data in memory, one process, the same seed gives the same network.

Every epoch draws its random numbers from a seed of its own, so a training that was killed and resumed at an
epoch ends at the same weights as one that was not.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harembed.errors import DataError, RunError
from harembed.nn.centres import Centres
from harembed.train.augment import Sensors, draw_changes
from harembed.train.local_loss import LocalLosses
from harembed.train.metrics import scores
from harembed.train.objective import Objective
from harembed.train.recipe import Recipe
from harembed.train.teacher import Teacher

State = dict[str, Any]
Epoch = dict[str, float]


@dataclass
class History:
    """One entry per epoch: loss (training, smoothed labels), learning_rate, and val_macro_f1 if there are
    validation windows."""

    epochs: list[Epoch] = field(default_factory=list)


def normalise(raw: np.ndarray, mean: np.ndarray, std: np.ndarray, channels: tuple[int, ...]) -> Tensor:
    """Raw windows to a network's input, the float twin of harembed.ir.input_spec.

    Parameters
    ----------
    raw : [N, T, C] int16    counts
    mean, std : [C] float    counts; the mean is rounded to whole counts as the integer input does
    channels : the raw channels that the network uses, in its order

    Returns
    -------
    Tensor    [N, 1, len(channels), T] float32
    """
    kept = list(channels)
    centred = raw[:, :, kept].astype(np.float32) - np.round(mean[kept]).astype(np.float32)
    scaled = centred / std[kept].astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 2, 1)[:, None]))


def predict(model: nn.Module, x: Tensor, batch: int = 1024) -> np.ndarray:
    """Logits [N, classes] float32, in evaluation mode; the model's mode is left as it was. It is where x is."""
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(batch)])
    model.train(training)
    return logits.cpu().numpy()


def train(model: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, seed: int, x_val: Tensor | None = None,
          y_val: Tensor | None = None, progress: Callable[[int, Epoch], None] | None = None,
          checkpoint: Callable[[State], None] | None = None, resume: State | None = None,
          each_epoch: Callable[[int], None] | None = None, sensors: Sensors | None = None,
          teacher: Teacher | None = None, local: LocalLosses | None = None) -> History:
    """Train a network in place, on the device of its windows; it is left there and in evaluation mode.

    Parameters
    ----------
    x, y : [N, 1, S, T] float32 and [N] int64; with `sensors` S counts all recorded channels
    seed : int    of shuffling, augmentation and dropout (not of the initial weights)
    x_val, y_val : optional    scored after every epoch; nothing is chosen by it
    progress : called after every epoch with its number from 0 and its figures
    checkpoint : called after every epoch with all that `resume` needs; see state_to_bytes
    resume : a state that `checkpoint` got, of the same recipe and seed
    each_epoch : called before every epoch with its number (quantisers renew their ranges here)
    sensors : what the rows of x are and which of them the network gets; None is all, without rotation
    teacher : whose opinion the network learns besides the labels; not in a checkpoint, give the same to `resume`
    local : losses of every layer instead of one of the whole network, learned along with it; not with a teacher

    Raises
    ------
    DataError    there are no windows, or fewer labels than windows
    RunError     the loss is not finite
    """
    if len(x) < 2 or len(x) != len(y):
        raise DataError(f"Training needs at least 2 windows with a label each, got {len(x)} windows and "
                        f"{len(y)} labels.", "Use a shorter window or hop, or more recordings.")
    model.to(x.device)
    if teacher is not None:
        teacher.to(x.device)
    learned = model if local is None else nn.ModuleList([model, local.to(x.device)])
    optimizer = torch.optim.AdamW(learned.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay,
                                  fused=True)  # small parameters: one call instead of a dozen for each
    steps = -(-len(x) // recipe.batch)
    schedule = _schedule(optimizer, recipe, max(recipe.epochs * steps, 2))
    centred = any(isinstance(module, Centres) for module in model.modules())
    objective = Objective(recipe, sensors, teacher, local, centred)
    history, first = History(), 0
    if resume is not None:
        first = _restore(resume, learned, optimizer, schedule, history, recipe, seed)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = recipe.dropout
    for epoch in range(first, recipe.epochs):
        if each_epoch is not None:
            each_epoch(epoch)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1_000_003 + epoch)  # dropout draws from the global generator
            loss = _one_epoch(model, x, y, objective, optimizer, schedule, seed * 1_000_003 + epoch)
        if not np.isfinite(loss):
            raise RunError(f"Training diverged in epoch {epoch + 1} of {recipe.epochs}: the loss is {loss}.",
                           f"Lower the learning rate (now {recipe.learning_rate:g}) or check the data for outliers.")
        entry = {"loss": loss, "learning_rate": float(schedule.get_last_lr()[0])}
        if x_val is not None and y_val is not None:
            logits = predict(model, x_val)
            entry["val_macro_f1"] = scores(logits.argmax(1), y_val.numpy(), logits.shape[1]).macro_f1
        history.epochs.append(entry)
        if progress is not None:
            progress(epoch, entry)
        if checkpoint is not None:
            checkpoint({"epoch": epoch + 1, "seed": seed, "recipe": recipe.to_dict(), "model": learned.state_dict(),
                        "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                        "history": history.epochs})
    model.eval()
    return history


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe,
              steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """Of the learning rate, over all steps of a training."""
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)


def _one_epoch(model: nn.Module, x: Tensor, y: Tensor, objective: Objective, optimizer: torch.optim.Optimizer,
               schedule: torch.optim.lr_scheduler.LRScheduler, seed: int) -> float:
    """One pass over all windows in random order; returns the mean loss."""
    generator, recipe = torch.Generator().manual_seed(seed), objective.recipe
    model.train()
    losses: list[tuple[Tensor, int]] = []
    order = torch.randperm(len(x), generator=generator).to(x.device)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    changes = draw_changes(len(x), x.shape[2], recipe, generator, objective.seen).to(x.device)
    for first in range(0, len(x), recipe.batch):
        part = order[first : first + recipe.batch]
        if len(part) > 1:  # batch norm has no deviation of a single window
            loss = objective.loss(model, changes.apply(x[part], first), y[part])
            for p in parameters:  # Optimizer.zero_grad tells a profiler first
                p.grad = None
            loss.backward()
            optimizer.step()
            losses.append((loss.detach(), len(part)))  # as numbers at the end: a GPU would be waited for here
        schedule.step()
    return sum(float(loss) * windows for loss, windows in losses) / len(x)


def _restore(state: State, model: nn.Module, optimizer: torch.optim.Optimizer,
             schedule: torch.optim.lr_scheduler.LRScheduler, history: History, recipe: Recipe, seed: int) -> int:
    """Put a checkpoint back; returns the epoch to go on with."""
    if state["recipe"] != recipe.to_dict() or state["seed"] != seed:
        raise RunError("The checkpoint belongs to a training with another recipe or seed.",
                       "Delete the checkpoint, or use another folder with --out.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    history.epochs.extend(state["history"])
    return int(state["epoch"])


def state_to_bytes(state: State) -> bytes:
    """Tensors and plain values as torch.save writes them, for harembed.rundir.write_atomic."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def state_from_bytes(data: bytes) -> State:
    """The inverse of state_to_bytes; loads tensors and plain values only.

    Raises
    ------
    RunError    the bytes are damaged
    """
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as e:  # torch raises several kinds for damaged archives
        raise RunError(f"The saved weights are damaged ({len(data):,} bytes): {e}".splitlines()[0],
                       "Delete the file; the stage runs again.") from e
