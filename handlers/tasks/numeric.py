"""Numeric columns: scaled numbers, a whole column at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handlers.tasks.columns import Values

if TYPE_CHECKING:
    from handlers.tasks.definitions import NumericColumn
    from handlers.tasks.task import Schema

__all__ = ["Numbers"]

_EXACT = 2**53  # float64 holds every integer up to here
_LONGEST_TEXT = 60  # of an integer that is parsed as one


class Numbers:
    """A numeric column: [rows, 1]."""

    width = 1

    def __init__(self, column: "NumericColumn", dtype: np.dtype, missing_words: Sequence[str]) -> None:
        """Take the definition, the dtype of the tensor, and the texts that stand for no value."""
        self._column = column
        self._dtype = dtype
        self._missing_words = frozenset(word.strip() for word in missing_words)

    def encode(self, given: Values) -> np.ndarray:
        """See `ColumnEncoder.encode`; by way of float64."""
        column = self._column
        numbers = self._numbers(given)
        missing = np.isnan(numbers)
        if missing.any():
            if column.missing is None:
                given.refuse(int(missing.argmax()), column.name, self._expected)
            numbers[missing] = column.missing
        least = -np.inf if column.minimum is None else column.minimum
        most = np.inf if column.maximum is None else column.maximum
        self._check(given, np.isinf(numbers) | (~missing & ((numbers < least) | (numbers > most))), self._expected)
        with np.errstate(over="ignore"):
            scaled = (numbers - column.offset) / column.scale
            return self._cast(given, scaled).reshape(-1, 1)

    @property
    def required(self) -> bool:
        """See `ColumnEncoder.required`."""
        return self._column.missing is None

    @property
    def schema(self) -> "Schema":
        """See `ColumnEncoder.schema`."""
        bounds = {"minimum": self._column.minimum, "maximum": self._column.maximum}
        schema: Schema = {"type": "number" if self._dtype.kind == "f" else "integer"}
        schema |= {name: bound for name, bound in bounds.items() if bound is not None}
        return schema if self.required else schema | {"nullable": True}

    @property
    def example(self) -> float:
        """See `ColumnEncoder.example`: the offset, which is the mean or the least where data was scaled, in bounds."""
        column = self._column
        value = float(f"{column.offset:.4g}")  # fit to be read
        if column.minimum is not None:
            value = max(value, column.minimum)
        if column.maximum is not None:
            value = min(value, column.maximum)
        return int(value) if value.is_integer() else value

    def _numbers(self, given: Values) -> np.ndarray:
        """Return float64 [rows], NaN where there is no value."""
        values = [self._parse(value) for value in given.values] if given.text else given.values
        kinds = set(map(type, values))
        wrong = kinds - {int, float, type(None)}
        if wrong:
            at = next(index for index, value in enumerate(values) if type(value) in wrong)
            given.refuse(at, self._column.name, self._expected)
        if int in kinds:
            for index, value in enumerate(values):
                if isinstance(value, int) and not -_EXACT <= value <= _EXACT:
                    expected = f"{self._expected}; as an integer at most {_EXACT:,}, beyond which 64 bits round"
                    given.refuse(index, self._column.name, expected)
        return np.array(values, np.float64)

    def _parse(self, value: object) -> object:
        """Return the number that a text stands for, None where that is no value, and the text where it is neither."""
        text = value.strip() if isinstance(value, str) else ""
        if text in self._missing_words:
            return None
        try:
            number = float(text)
        except ValueError:
            return text
        if "_" in text:  # Python's way to write large numbers
            return text
        return (
            int(text)
            if abs(number) >= _EXACT and text.lstrip("+-").isdecimal() and len(text) < _LONGEST_TEXT
            else number
        )

    def _cast(self, given: Values, scaled: np.ndarray) -> np.ndarray:
        if self._dtype.kind == "f":
            cast = scaled.astype(self._dtype)
            self._check(given, np.isinf(cast), f"{self._expected}, within {self._dtype} once it is scaled")
            return cast
        bounds = np.iinfo(self._dtype)
        fits = (scaled == np.round(scaled)) & (scaled >= bounds.min) & (scaled <= min(bounds.max, _EXACT))
        self._check(given, ~fits, self._expected)
        return scaled.astype(self._dtype)

    def _check(self, given: Values, wrong: np.ndarray, expected: str) -> None:
        if wrong.any():
            given.refuse(int(wrong.argmax()), self._column.name, expected)

    @property
    def _expected(self) -> str:
        kind = "a finite number" if self._dtype.kind == "f" else "a whole number"
        match self._column.minimum, self._column.maximum:
            case None, None:
                return kind
            case None, most:
                return f"{kind} of at most {most:g}"
            case least, None:
                return f"{kind} of at least {least:g}"
        return f"{kind} from {self._column.minimum:g} to {self._column.maximum:g}"
