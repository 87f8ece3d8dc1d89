"""The one loop that trains every recipe: repeatable, and able to stop and go on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from export.errors import DataError, TrainingInterrupted
from export.metrics import METRICS
from export.progress import Progress
from export.recipes.checkpoint import CHECKPOINT_FILE, describe, read_checkpoint, write_checkpoint
from export.recipes.files import write_whole
from export.recipes.learning_curve import CURVE_FILE, PICTURE_FILE, Step, to_csv, to_svg
from export.recipes.recipe import Dataset, Recipe, find_recipe
from export.recipes.trained import SOURCE_FILE, WEIGHTS_FILE, batches, prepare_folder, write_trained

__all__ = ["TrainingResult", "train"]

CHECKPOINT_EVERY_S = 60.0


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind, and how good it is.

    `weights` is a state dict, `source` a Python file whose `source()` gives the network back; `score` is the `metric`
    on the `samples` that were held out, `loss` the mean of the last epoch.
    """

    model: str
    weights: Path
    source: Path
    metric: str
    score: float
    samples: int
    loss: float


def train(  # noqa: PLR0913 - what a training depends on
    word: str,
    out: Path,
    data: Path | None = None,
    *,
    seed: int = 0,
    epochs: int | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> TrainingResult:
    """Train a recipe and write weights, source and learning curve into `out`, each file whole or not at all.

    The same seed, epochs, data and number of threads give the same weights on one machine, whether or not the training
    was stopped on the way; torch's global random state is left as it was.

    Args:
        word: Name of the recipe, or path of the Python file that holds it.
        out: Folder for the files, created if absent; those of an earlier training are replaced at the end. A training
            that was stopped there goes on.
        data: Folder that the recipe reads; None: what is shipped or installed.
        seed: Decides on initial weights, order and dropout.
        epochs: How often each sample is seen, at least once; None: as the recipe says.
        progress: Shows how far it is.
        stop: Asked before every step.
        checkpoint_every_s: What a crash may cost, in seconds.

    Raises:
        DataError: The data are missing or broken, or the loss is no number any more.
        OutputError: `out` cannot be written, or holds files of somebody else, or the checkpoint of another training.
        SourceError: There is no such recipe.
        TrainingInterrupted: `stop` said so; the same call goes on from there.
        ValueError: `epochs` is below one.
    """
    recipe = find_recipe(word)
    epochs = recipe.epochs if epochs is None else epochs
    if epochs < 1:
        msg = f"epochs: {epochs}, expected a positive number"
        raise ValueError(msg)
    progress = progress or Progress(Console(quiet=True))
    with progress.step("Loading the data"):
        dataset = recipe.load(data)
    prepare_folder(out)
    description = describe(recipe.name, dataset, seed, epochs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        run = _Run(recipe, dataset, epochs)
        saved = read_checkpoint(out, description)
        if saved is not None:
            run.restore(saved)
        with progress.step(f"Training {recipe.name}", run.total) as advance:
            advance(run.done)
            saved_at = time.monotonic()
            while run.done < run.total:
                if stop():
                    write_checkpoint(out, description, run.state())
                    msg = f"training {recipe.name}: stopped after step {run.done} of {run.total}"
                    raise TrainingInterrupted(msg)
                run.step()
                advance(1)
                if time.monotonic() - saved_at >= checkpoint_every_s:
                    write_checkpoint(out, description, run.state())
                    saved_at = time.monotonic()
    write_whole(out / CURVE_FILE, to_csv(run.curve).encode())
    write_whole(out / PICTURE_FILE, to_svg(run.curve, recipe.name, recipe.metric).encode())
    write_trained(word, run.network, out, data)
    (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    return TrainingResult(
        model=recipe.name,
        weights=out / WEIGHTS_FILE,
        source=out / SOURCE_FILE,
        metric=recipe.metric,
        score=run.curve[-1].score or 0.0,
        samples=len(dataset.test),
        loss=float(np.mean([step.loss for step in run.curve if step.epoch == epochs])),
    )


class _Run:
    """One training: all that changes from step to step."""

    def __init__(self, recipe: Recipe, dataset: Dataset, epochs: int) -> None:
        self._recipe = recipe
        self._dataset = dataset
        self._targets = torch.from_numpy(dataset.train.targets)
        self._steps = -(-len(dataset.train) // recipe.batch)  # of an epoch, rounded up
        self._order = torch.empty(0, dtype=torch.int64)
        self.total = epochs * self._steps
        self.network = recipe.network(dataset).train()
        self._optimizer = recipe.optimizer(self.network.parameters())
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, recipe.peak_learning_rate, total_steps=self.total
        )
        self.curve: list[Step] = []

    @property
    def done(self) -> int:
        """How many steps have been made."""
        return len(self.curve)

    def step(self) -> None:
        """Learn from one batch, and take the score after the last one of an epoch."""
        epoch, place = divmod(self.done, self._steps)
        if place == 0:
            self._order = self._recipe.order(self._dataset.train, self._recipe.batch)
        chosen = self._order[place * self._recipe.batch : (place + 1) * self._recipe.batch]
        inputs = self._recipe.trim(
            {name: values[chosen.numpy()] for name, values in self._dataset.train.inputs.items()}
        )
        loss = self._recipe.loss(self.network(*map(torch.from_numpy, inputs.values())), self._targets[chosen])
        if not loss.isfinite():
            msg = (
                f"training {self._recipe.name}: loss {loss.item()} in step {self.done + 1}, expected a finite number; "
                "look for outliers in the data, or lower the recipe's peak_learning_rate"
            )
            raise DataError(msg)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        rate = float(self._schedule.get_last_lr()[0])
        self._schedule.step()
        score = self._score() if place == self._steps - 1 else None
        self.curve.append(Step(self.done + 1, epoch + 1, rate, loss.item(), score))

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on as if nothing had happened."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": torch.get_rng_state(),
            "order": self._order,
            "curve": [(s.step, s.epoch, s.learning_rate, s.loss, s.score) for s in self.curve],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned, torch's global random state included."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._order = state["order"]
        self.curve = [Step(*step) for step in state["curve"]]
        torch.set_rng_state(state["random"])

    def _score(self) -> float:
        finished = self._recipe.finished(self.network)
        held_out = batches(self._recipe, self._dataset.test)
        with torch.inference_mode():
            answers = [finished(*map(torch.from_numpy, inputs.values())).numpy() for inputs, _ in held_out]
        self.network.train()
        return METRICS[self._recipe.metric].score(
            {self._recipe.output: np.concatenate(answers)}, self._dataset.test.targets
        )
