"""The task `tabular`: rows of named columns to the model's inputs, its output to labels with scores or to numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta

from handlers.errors import RuntimeFailure
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import NUMPY_TYPES
from handlers.tasks.features import Features
from handlers.tasks.options import read_options, refuse_options
from handlers.tasks.scores import scores, top
from handlers.tasks.table import CSV_TYPE
from handlers.tasks.tabular_fit import check_consistency, check_inputs, check_output
from handlers.tasks.task import Prepared, Schema

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import TabularTask

__all__ = ["TabularRows"]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top_k: Annotated[int, Meta(ge=1)] | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a request: its place in the arrays of all of them."""

    inputs: Arrays
    index: int
    length: int = 1


class TabularRows:
    """Implements `handlers.tasks.task.Task`. An instance is an object of columns, a body of CSV many of them."""

    media_types: tuple[str, ...] = (CSV_TYPE,)

    def __init__(
        self, definition: "TabularTask", inputs: "Sequence[TensorSpec]", outputs: "Sequence[TensorSpec]"
    ) -> None:
        """Take a task and the model that it is for.

        Raises:
            UnsupportedManifest: It contradicts itself, or does not fit the model.
        """
        check_consistency(definition)
        check_output(definition, outputs)
        self._definition = definition
        self._features = Features(definition, {spec.name: NUMPY_TYPES[spec.datatype] for spec in inputs})
        check_inputs(inputs, self._features.widths)
        self._axes = {spec.name: len(spec.shape) for spec in inputs}
        self.outputs = (definition.output,)

    def memory_bytes(self, instances: Sequence[object]) -> int:  # noqa: ARG002
        """See `Task.memory_bytes`: nothing worth mentioning."""
        return 0

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`."""
        encoded = self._features.encode(instances)
        inputs = {name: array if self._axes[name] > 1 else array[:, 0] for name, array in encoded.items()}
        return [_Row(inputs, index) for index in range(len(instances))]

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        """See `Task.collate`."""
        rows = [row for row in prepared if isinstance(row, _Row)]
        return {name: np.stack([row.inputs[name][row.index] for row in rows]) for name in self._axes}

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: `top_k`, how many labels; all of them by default."""
        if not self._definition.labels:
            refuse_options(options)
            return None
        return read_options(options, _Options).top_k

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """See `Task.answer`: labels with scores, the best first; without labels a number, or a list of them."""
        output = outputs[self._definition.output]
        rows = output.reshape(len(prepared), -1)
        labels = self._definition.labels
        if not labels:
            return list((rows[:, 0] if rows.shape[1] == 1 else rows).tolist())
        found = scores(rows, self._definition.activation)
        if found.shape[1] == 1 and len(labels) == 2:  # noqa: PLR2004 - one of two
            found = np.concatenate([1 - found, found], axis=1)
        if found.shape[1] != len(labels):
            msg = f"output {self._definition.output!r}: {found.shape[1]} elements, expected one for each label"
            raise RuntimeFailure(msg)
        return [top(row, labels, options if isinstance(options, int) else len(labels)) for row in found]

    def count_tokens(self, prepared: Sequence[Prepared]) -> int:  # noqa: ARG002
        """See `Task.count_tokens`: none."""
        return 0

    @property
    def instance_schema(self) -> Schema:
        """See `Task.instance_schema`."""
        return self._features.schema

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        options: Schema = {"top_k": {"type": "integer", "minimum": 1}} if self._definition.labels else {}
        return {"type": "object", "properties": options, "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        number: Schema = {"type": "number", "nullable": True}  # where the model gives NaN
        if not self._definition.labels:
            return {"oneOf": [number, {"type": "array", "items": number}]}
        label: Schema = {"type": "string", "enum": [*self._definition.labels]}
        scored = {"type": "object", "properties": {"label": label, "score": number}, "required": ["label", "score"]}
        return {"type": "array", "items": scored}

    @property
    def example(self) -> object:
        """See `Task.example`."""
        return self._features.example
