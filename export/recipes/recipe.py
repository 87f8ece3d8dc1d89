"""What makes a recipe: network, data, loss, metric and optimiser; everything else is the same for all."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from export.errors import ExportError, SourceError, users_line
from export.recipes import RECIPES
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import TaskDefinition

__all__ = ["Dataset", "Loss", "Recipe", "Split", "find_recipe"]

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes the network's output and the targets of a batch; returns their mean loss, a scalar with a gradient."""

Optimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
"""Takes the parameters to be trained. Its learning rate is overruled by the schedule."""


@dataclass(frozen=True)
class Split:
    """Samples with what is right for them: `inputs` by name in the order of `forward()`, all [n, ...] as the targets.

    Targets are int64 [n] for classes, and float32 of the output's shape for numbers.
    """

    inputs: Arrays
    targets: np.ndarray

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.targets)


@dataclass(frozen=True)
class Dataset:
    """What is trained on, and what was held out from it.

    Attributes:
        train: Trained on; its first samples calibrate.
        test: Held out: judges the training and, later, the variants.
        columns: Names of the columns of a table, the target's apart; empty where the data is none.
        pretrained: Folder with the weights that the network starts from; None: it starts from random ones.
        tokenizer: A `tokenizer.json` that travels with the model; None: there is none.
    """

    train: Split
    test: Split
    columns: tuple[str, ...] = ()
    pretrained: Path | None = None
    tokenizer: Path | None = None


def _whole(inputs: Arrays) -> Arrays:
    return inputs


def _no_task(_: Dataset) -> TaskDefinition | None:
    return None


def _shuffled(split: Split, _batch: int) -> torch.Tensor:
    return torch.randperm(len(split))


@dataclass(frozen=True)
class Recipe:
    """A model that can be trained.

    Attributes:
        name: Of the model that is served: `[a-z0-9][a-z0-9-]{0,62}`.
        load: Reads the data from a folder of the user's; None: what is shipped or installed.
        network: Makes the network with its initial weights. May take the lengths of axes, and statistics, of the data.
        loss: What is made small.
        output: Name of the network's output.
        epochs: How often each sample is seen.
        batch: Samples in a step.
        peak_learning_rate: The highest of a one-cycle schedule (L. N. Smith, N. Topin, arXiv:1708.07120).
        metric: What the held-out samples are scored with, here and by `lambdaserve build`: "accuracy" or "mse".
        optimizer: Takes the parameters.
        finish: What a network of one input ends with once it is trained, and the loss does without, such as a softmax.
        dynamic: Axes of variable length by input; None: axis 0 of every input.
        trim: Takes away what a batch of inputs does not need, such as padding that all of its samples have.
        order: Draws the order of an epoch, int64 [n], from samples and batch size and torch's global random state.
        task: What stands between a user's input and the tensors, given the data; None: nothing.
    """

    name: str
    load: Callable[[Path | None], Dataset]
    network: Callable[[Dataset], nn.Module]
    loss: Loss
    output: str
    epochs: int
    batch: int
    peak_learning_rate: float
    metric: str = "accuracy"
    optimizer: Optimizer = torch.optim.Adam
    finish: nn.Module | None = None
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    trim: Callable[[Arrays], Arrays] = _whole
    order: Callable[[Split, int], torch.Tensor] = _shuffled
    task: Callable[[Dataset], TaskDefinition | None] = _no_task

    def finished(self, network: nn.Module) -> nn.Module:
        """Return the network as it is served: in eval mode, with its last layer."""
        return (network if self.finish is None else nn.Sequential(network, self.finish)).eval()


def find_recipe(word: str) -> Recipe:
    """Return the recipe of that name, or the `RECIPE` of a Python file whose path ends in `.py`.

    Raises:
        SourceError: There is none, or the file cannot be imported.
    """
    if not word.endswith(".py"):
        if word not in RECIPES:
            msg = f"recipe: {word!r}, expected one of {', '.join(RECIPES)}, or a file.py with a RECIPE"
            raise SourceError(msg)
        found: Recipe = importlib.import_module(f"export.recipes.{word.replace('-', '_')}").RECIPE
        return found
    recipe = getattr(_import_file(Path(word)), "RECIPE", None)
    if not isinstance(recipe, Recipe):
        msg = f"recipe {word}: RECIPE is {type(recipe).__name__}, expected an export.recipes.recipe.Recipe"
        raise SourceError(msg)
    return recipe


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lambdaserve_recipe_{path.stem}", path) if path.is_file() else None
    if spec is None or spec.loader is None:
        msg = f"recipe: no file {path}, expected a Python file with a RECIPE"
        raise SourceError(msg)
    sys.path.insert(0, str(path.parent.resolve()))  # so that the file can import what lies beside it
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as importlib does: dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except ExportError:
        raise
    except Exception as error:  # the user's code may raise anything
        msg = f"recipe {path}: {type(error).__name__}: {error}{users_line(error)}, expected a file that can be imported"
        raise SourceError(msg) from error
    return module
