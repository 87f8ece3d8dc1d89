"""From rows of named columns to a model's inputs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from handlers.errors import InvalidInput
from handlers.tasks.arrays import Arrays
from handlers.tasks.categorical import Categories
from handlers.tasks.columns import ColumnEncoder, Values
from handlers.tasks.definitions import NumericColumn
from handlers.tasks.numeric import Numbers
from handlers.tasks.table import TextRow
from handlers.tasks.tensor import show_names

if TYPE_CHECKING:
    from handlers.tasks.definitions import TabularTask
    from handlers.tasks.task import Schema

__all__ = ["Features"]

_FLOAT32 = np.dtype(np.float32)


class Features:
    """The columns of a task, ready to encode rows; safe to use from several threads."""

    def __init__(self, task: "TabularTask", dtypes: Mapping[str, np.dtype]) -> None:
        """Take a task that is consistent, and the dtype of each input of the model."""
        self._ignored = task.ignored
        self._columns: dict[str, tuple[str, ColumnEncoder]] = {}
        for column in task.columns:
            kind = Numbers if isinstance(column, NumericColumn) else Categories
            dtype = dtypes.get(column.input, _FLOAT32)  # other inputs are refused later
            encoder: ColumnEncoder = kind(column, dtype, task.missing_words)  # type: ignore[arg-type]
            self._columns[column.name] = (column.input, encoder)
        self._known = {*self._columns, *task.ignored}

    @property
    def widths(self) -> dict[str, int]:
        """How many elements each input has, in the order of the columns."""
        widths: dict[str, int] = {}
        for name, encoder in self._columns.values():
            widths[name] = widths.get(name, 0) + encoder.width
        return widths

    @property
    def schema(self) -> "Schema":
        """The schema of a row."""
        properties: dict[str, Schema] = {name: encoder.schema for name, (_, encoder) in self._columns.items()}
        required = [name for name, (_, encoder) in self._columns.items() if encoder.required]
        schema: Schema = {"type": "object", "properties": properties | {name: {} for name in self._ignored}}
        return schema | ({"required": required} if required else {}) | {"additionalProperties": False}

    @property
    def example(self) -> dict[str, object]:
        """A row that is taken."""
        return {name: encoder.example for name, (_, encoder) in self._columns.items()}

    def encode(self, instances: Sequence[object]) -> Arrays:
        """Return the inputs, [rows, elements] each, of rows: objects by column as JSON has them, or `TextRow`s.

        Takes some 5 us for each row of 8 columns.

        Raises:
            InvalidInput: A row cannot be used; the message names it and its column.
        """
        text = bool(instances) and isinstance(instances[0], TextRow)

        def place(index: int) -> str:
            row = instances[index]
            return f"line {row.line}" if isinstance(row, TextRow) else f"instances[{index}]"

        rows = self._rows(instances, place)
        parts: dict[str, list[np.ndarray]] = {}
        for name, (into, encoder) in self._columns.items():
            values = Values([row.get(name) for row in rows], text, place)
            parts.setdefault(into, []).append(encoder.encode(values))
        return {into: np.concatenate(blocks, axis=1) for into, blocks in parts.items()}

    def _rows(self, instances: Sequence[object], place: Callable[[int], str]) -> list[Mapping[str, object]]:
        rows: list[Mapping[str, object]] = []
        for index, instance in enumerate(instances):
            row = instance.cells if isinstance(instance, TextRow) else instance
            if not isinstance(row, dict):
                msg = f"{place(index)}: {type(row).__name__}, expected an object of: {show_names([*self._columns])}"
                raise InvalidInput(msg)
            if not row.keys() <= self._known:
                found = show_names([name for name in row if name not in self._known])
                meant = [name for name in self._columns if name not in row] or [*self._columns]
                msg = f"{place(index)}: unknown columns {found}, expected some of: {show_names(meant)}"
                raise InvalidInput(msg)
            rows.append(row)
        return rows
