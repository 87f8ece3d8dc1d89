"""Categorical columns: one-hot vectors or indices, a whole column at a time."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from handlers.tasks.columns import LONGEST, Values
from handlers.tasks.tensor import show_names

if TYPE_CHECKING:
    from handlers.tasks.definitions import CategoricalColumn
    from handlers.tasks.task import Schema

__all__ = ["Categories"]

_REFUSED = -1
_WORDLESS = object()
"""What stands for a value that is no word, such as an array."""


class Categories:
    """A categorical column: [rows, categories] one-hot, or [rows, 1] indices."""

    def __init__(self, column: "CategoricalColumn", dtype: np.dtype, missing_words: Sequence[str]) -> None:
        """Take the definition, the dtype of the tensor, and the texts that stand for no value."""
        self._column = column
        index = {category: place for place, category in enumerate(column.categories)}
        instead = _REFUSED if column.missing is None else index[column.missing]
        self._known: dict[object, int] = {_WORDLESS: _REFUSED, None: instead}
        self._known |= dict.fromkeys(missing_words, instead)
        self._known |= {word: index[category] for word, category in column.aliases.items()}
        self._known |= index.items()
        self._otherwise = _REFUSED if column.unknown is None else index[column.unknown]
        self._dtype = dtype
        self.width = {"one-hot": len(index), "dummy": len(index) - 1, "index": 1}[column.encoding]

    def encode(self, given: Values) -> np.ndarray:
        """See `ColumnEncoder.encode`."""
        words = given.values
        if set(map(type, words)) != {str}:
            words = [_word(value) for value in words]
        known, otherwise = self._known, self._otherwise
        places = np.array([known.get(word, otherwise) for word in words])
        if (places == _REFUSED).any():
            refused = int((places == _REFUSED).argmax())
            given.refuse(refused, self._column.name, f"one of: {show_names(self._column.categories)}")
        if self._column.encoding == "index":
            return places.astype(self._dtype).reshape(-1, 1)
        ones = np.zeros((len(places), len(self._column.categories)), self._dtype)
        ones[np.arange(len(places)), places] = 1
        return ones if self._column.encoding == "one-hot" else ones[:, 1:]

    @property
    def required(self) -> bool:
        """See `ColumnEncoder.required`."""
        return self._column.missing is None

    @property
    def schema(self) -> "Schema":
        """See `ColumnEncoder.schema`. Booleans and integers are words too where a category is written like one."""
        words = sorted(word for word, place in self._known.items() if isinstance(word, str) and place != _REFUSED)
        nullable: Schema = {} if self.required else {"nullable": True}
        if self._column.unknown is not None:
            kinds: list[Schema] = [{"type": "string"}, {"type": "boolean"}, {"type": "integer"}]
            return {"anyOf": [kind | nullable for kind in kinds]}
        texts: Schema = {"type": "string", "enum": [*words, *([] if self.required else [None])]} | nullable
        others = [word for word in words if word in {"true", "false"} or _is_integer(word)]
        if not others:
            return texts
        values = [word == "true" if word in {"true", "false"} else int(word) for word in others]
        return {"anyOf": [texts, {"enum": values}]}

    @property
    def example(self) -> str:
        """See `ColumnEncoder.example`."""
        return self._column.categories[0]


def _word(value: object) -> object:
    """Return what a category is called that came as this value of JSON."""
    match value:
        case str() | None:
            return value
        case bool():
            return "true" if value else "false"
        case int() if abs(value) < LONGEST:
            return str(value)
        case float() if math.isnan(value):  # what data frames have for no value
            return None
    return _WORDLESS


def _is_integer(word: str) -> bool:
    digits = word.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) < len(str(LONGEST)) and str(int(word)) == word
