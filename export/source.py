"""What a user hands to the export step, and how it is found from the word on the command line."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch

from export.errors import SourceError
from handlers.errors import InvalidName
from handlers.registry.names import check_model_name
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import TaskDefinition

if TYPE_CHECKING:
    import numpy as np

    from export.sources import SourceOptions

__all__ = ["Batch", "BatchInputs", "Evaluation", "MetricFunction", "ModelSource", "load_source"]

_DTYPES = frozenset(
    {torch.bool, torch.float16, torch.float32, torch.float64}
    | {torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64}
)
"""What the Open Inference Protocol has a datatype for, text apart."""

BatchInputs = Any
"""Inputs of one batch, `Arrays`; or, where there is a task, a list of its instances: JSON values, files as bytes or
`Path`. Not a union: whoever reads the data of a source of its own knows which it is."""

Batch = tuple[BatchInputs, "np.ndarray | None"]
"""Inputs of one batch, and what the model should make of them (None: compare with fp32 instead)."""

MetricFunction = Callable[[Arrays, "np.ndarray"], float]
"""Takes the outputs of all batches, joined along axis 0, and the joined targets; a larger score is better."""


@dataclass(frozen=True)
class Evaluation:
    """Data that judges the variants of a model, held out from training and from calibration.

    Attributes:
        batches: Pairs of inputs and target. It is gone through once and kept in memory: a list, a generator,
            or any other iterable.
        metric: "accuracy" (target int [batch]; the first output's argmax over its last axis, or > 0.5 where that axis
            is 1), "mse" (target of the first output's shape), or a function of (outputs, target), larger is better.
            Without targets, how outputs are compared with PyTorch's: "agreement" (mean cosine and, in every output, the
            largest element) or "cosine"; anything else: by what made them, see `export.classes`.
    """

    batches: Iterable[Batch]
    metric: str | MetricFunction = "accuracy"


@dataclass(frozen=True)
class ModelSource:
    """A trained model with all that is needed to convert and to judge it.

    Attributes:
        name: Name of the model that is served: `[a-z0-9][a-z0-9-]{0,62}`.
        module: The trained module, in eval mode.
        inputs: Example inputs by name, in the order of `module.forward()`; axis 0 is the batch.
        outputs: Names of what `module.forward()` returns, in its order.
        dynamic: Axes of variable length by input, as {"image": {0: "batch"}}; None: axis 0 of every input; {}: none.
        calibration: Inputs, as many batches as represent the data (some hundred samples), never from
            `evaluation`; None: every fourth sample of `evaluation`, or the example inputs.
        evaluation: None: half of `calibration` judges, by agreement with PyTorch, or the example inputs with noise.
        task: What stands between a user's input and the tensors, of handlers.tasks.definitions; None: nothing.
        tokenizer: A `tokenizer.json` that travels with the model; None: there is none.
    """

    name: str
    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: list[str]
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    calibration: Iterable[BatchInputs] | None = None
    evaluation: Evaluation | None = None
    task: TaskDefinition | None = None
    tokenizer: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what no later step could make sense of."""
        try:
            check_model_name(self.name)
        except InvalidName as error:
            raise SourceError(str(error)) from error
        if not isinstance(self.module, torch.nn.Module):
            msg = f"ModelSource.module: {type(self.module).__name__}, expected a torch.nn.Module"
            raise SourceError(msg)
        if isinstance(self.outputs, str):
            msg = f"ModelSource.outputs: {self.outputs!r}, expected a list of names"
            raise SourceError(msg)
        if not self.inputs or not self.outputs:
            msg = (
                f"ModelSource: {len(self.inputs)} inputs and {len(self.outputs)} outputs, expected at least one of each"
            )
            raise SourceError(msg)
        for name, value in self.inputs.items():
            if not isinstance(value, torch.Tensor):
                msg = f"ModelSource.inputs[{name!r}]: {type(value).__name__}, expected a torch.Tensor"
                raise SourceError(msg)
            if value.dtype not in _DTYPES:
                msg = f"ModelSource.inputs[{name!r}]: {value.dtype}, expected one of {sorted(map(str, _DTYPES))}"
                raise SourceError(msg)
        _check_unique([*self.inputs], "inputs")
        _check_unique([*self.outputs], "outputs")
        _check_unique([*self.inputs, *self.outputs], "inputs and outputs")
        _check_dynamic(self.dynamic or {}, self.inputs)
        _check_lengths(self.dynamic_axes, self.inputs)
        if self.task is not None and not isinstance(self.task, get_args(TaskDefinition)):
            msg = f"ModelSource.task: {type(self.task).__name__}, expected a task, such as export.TabularTask"
            raise SourceError(msg)
        if self.tokenizer is not None and not Path(self.tokenizer).is_file():
            msg = f"ModelSource.tokenizer: no file {self.tokenizer}, expected a tokenizer.json"
            raise SourceError(msg)

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Axes of variable length by input, the default filled in."""
        if self.dynamic is None:
            return {name: {0: "batch"} if value.dim() else {} for name, value in self.inputs.items()}
        return {name: dict(self.dynamic.get(name, {})) for name in self.inputs}


def load_source(word: str, options: "SourceOptions | None" = None) -> ModelSource:
    """Return the source that a word names: see `export.sources.load` for the kinds, and `options` for what they take.

    Raises:
        SourceError: There is no such source, or it cannot be used.
        DataError: Its weights or its data are broken or do not fit it.
    """
    from export import sources  # here: every kind of source imports this module

    return sources.load(word, options or sources.SourceOptions())


def _check_unique(names: list[str], what: str) -> None:
    if any(not isinstance(name, str) or not name for name in names) or len(set(names)) != len(names):
        msg = f"ModelSource.{what}: {names}, expected different names that are not empty"
        raise SourceError(msg)


def _check_dynamic(dynamic: Mapping[str, Mapping[int, str]], inputs: Mapping[str, torch.Tensor]) -> None:
    unknown = set(dynamic) - set(inputs)
    if unknown:
        msg = f"ModelSource.dynamic: names {sorted(unknown)}, expected some of the inputs {sorted(inputs)}"
        raise SourceError(msg)
    for name, axes in dynamic.items():
        usable = isinstance(axes, Mapping) and all(
            axis in range(inputs[name].dim()) and isinstance(word, str) and word.isidentifier()
            for axis, word in axes.items()
        )
        if not usable:
            msg = (
                f"ModelSource.dynamic[{name!r}]: {axes}, expected axes from 0 to {inputs[name].dim() - 1} and a word "
                'for each, such as {0: "batch"}'
            )
            raise SourceError(msg)


def _check_lengths(axes: Mapping[str, Mapping[int, str]], inputs: Mapping[str, torch.Tensor]) -> None:
    """Axes of one name are one axis: they are of one length in the example, and change together."""
    first: dict[str, tuple[str, int]] = {}
    for name, by_axis in axes.items():
        for axis, word in by_axis.items():
            length = inputs[name].shape[axis]
            other, expected = first.setdefault(word, (name, length))
            if length != expected:
                msg = (
                    f"ModelSource.dynamic: axis {word!r} is {length} long in {name!r} and {expected} in {other!r}, "
                    "expected one length; name the variable axes of every input in `dynamic`"
                )
                raise SourceError(msg)
