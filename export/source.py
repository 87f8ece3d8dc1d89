"""What a user hands to the export step, and how it is found from the word on the command line."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from export.errors import ExportError, SourceError, users_line
from handlers.errors import InvalidName
from handlers.registry.names import check_model_name
from handlers.tasks.arrays import Arrays

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

__all__ = ["Batch", "Evaluation", "MetricFunction", "ModelSource", "load_source"]

_DTYPES = frozenset(
    {torch.bool, torch.float16, torch.float32, torch.float64}
    | {torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64}
)
"""What the Open Inference Protocol has a datatype for, text apart."""

Batch = tuple[Arrays, "np.ndarray | None"]
"""Named inputs of one batch, and what the model should make of them (None: compare with fp32 instead)."""

MetricFunction = Callable[[Arrays, "np.ndarray"], float]
"""Takes the outputs of all batches, joined along axis 0, and the joined targets; a larger score is better."""


@dataclass(frozen=True)
class Evaluation:
    """Data that judges the variants of a model, held out from training and from calibration.

    Attributes:
        batches: Pairs of named inputs and target. It is gone through once and kept in memory: a list, a generator,
            or any other iterable.
        metric: "accuracy" (target int [batch]; the first output's argmax over its last axis, or > 0.5 where that axis
            is 1), "mse" (target of the first output's shape), or a function of (outputs, target), larger is better.
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
        calibration: Named input arrays, as many batches as represent the data (some hundred samples), never from
            `evaluation`; None: no variant that needs calibration is tried.
        evaluation: None: variants are judged by their agreement with fp32.
        task: What stands between a user's input and the tensors; None: tensors.
    """

    name: str
    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: list[str]
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    calibration: Iterable[Arrays] | None = None
    evaluation: Evaluation | None = None
    task: None = None

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

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Axes of variable length by input, the default filled in."""
        if self.dynamic is None:
            return {name: {0: "batch"} if value.dim() else {} for name, value in self.inputs.items()}
        return {name: dict(self.dynamic.get(name, {})) for name in self.inputs}


def load_source(word: str) -> ModelSource:
    """Return the source that `file.py:function` or `package.module:function` names.

    The function is called without arguments. The folder of a file, and the working directory for a module, are put on
    the import path first, so that the file can import what lies beside it.

    Raises:
        SourceError: There is no such file, module or function; or it raises; or it returns something else.
    """
    place, separator, function_name = word.rpartition(":")
    if not separator or not place or not function_name.isidentifier():
        msg = f"source: {word!r}, expected file.py:function or package.module:function"
        raise SourceError(msg)
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    function = getattr(module, function_name, None)
    if not callable(function):
        found = sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        msg = f"source {word}: {place} has no function {function_name!r}, expected one of {', '.join(found) or 'none'}"
        raise SourceError(msg)
    source = _call(function, word)
    if not isinstance(source, ModelSource):
        msg = f"source {word}: returned {type(source).__name__}, expected an export.ModelSource"
        raise SourceError(msg)
    return source


def _import_file(path: Path) -> "ModuleType":
    if not path.is_file():
        msg = f"source: no file {path}, expected a Python file"
        raise SourceError(msg)
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(f"lambdaserve_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        msg = f"source: {path} cannot be imported, expected a Python file"
        raise SourceError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as importlib does: dataclasses and pickle look their module up there
    _call(lambda: spec.loader.exec_module(module), str(path))  # type: ignore[union-attr]
    return module


def _import_module(name: str) -> "ModuleType":
    sys.path.insert(0, str(Path.cwd()))
    module: ModuleType = _call(lambda: importlib.import_module(name), name)
    return module


def _call(function: Callable[[], Any], subject: str) -> Any:  # noqa: ANN401 - whatever the user's code returns
    try:
        return function()
    except ExportError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and a script may end itself
        msg = (
            f"source {subject}: {type(error).__name__}: {error}{users_line(error)}; "
            "run it alone with python to see the whole trace"
        )
        raise SourceError(msg) from error


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
