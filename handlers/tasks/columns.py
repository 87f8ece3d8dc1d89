"""Columns of a table <-> elements of a tensor: what their kinds have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

import numpy as np

from handlers.errors import InvalidInput

if TYPE_CHECKING:
    from handlers.tasks.task import Schema

__all__ = ["LONGEST", "ColumnEncoder", "Values"]

LONGEST = 2**63  # integers beyond it are not printed: Python refuses those of thousands of digits
_SHOWN = 60


@dataclass(frozen=True)
class Values:
    """The values of one column.

    Attributes:
        values: As JSON or CSV have them; None where a row lacks the column.
        text: Whether they come from text, where numbers are strings too.
        place: Names the row of a value, for errors.
    """

    values: Sequence[object]
    text: bool
    place: Callable[[int], str]

    def refuse(self, index: int, column: str, expected: str) -> NoReturn:
        """Raise the InvalidInput that says what was found in a row, and what was expected there."""
        msg = f"{self.place(index)}, column {column!r}: {_show(self.values[index])}, expected {expected}"
        raise InvalidInput(msg)


class ColumnEncoder(Protocol):
    """What a kind of column knows."""

    @property
    def width(self) -> int:
        """How many elements it takes in its tensor."""

    @property
    def required(self) -> bool:
        """Whether each row needs a value."""

    @property
    def schema(self) -> "Schema":
        """The schema of a value in JSON."""

    @property
    def example(self) -> object:
        """A value that is taken."""

    def encode(self, given: Values) -> np.ndarray:
        """Return the elements, [rows, width].

        Raises:
            InvalidInput: A value cannot be used; the message names row and column.
        """


def _show(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:_SHOWN]) + ("..." if len(value) > _SHOWN else "")
    if isinstance(value, int) and abs(value) >= LONGEST:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    return "an array" if isinstance(value, list) else "an object"
