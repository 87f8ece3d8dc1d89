"""Rows of a table as text: CSV with a header, as RFC 4180 and spreadsheets write it."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.errors import InvalidInput
from handlers.tasks.task import MOST_INSTANCES

if TYPE_CHECKING:
    import _csv

__all__ = ["CSV_TYPE", "TextRow", "read_csv"]

CSV_TYPE = "text/csv"

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class TextRow:
    """A row whose values are text, whatever they stand for: `cells` by column, and the `line` that it ends on."""

    cells: dict[str, str]
    line: int


def read_csv(body: bytes) -> list[TextRow]:
    """Return the rows of a CSV file: UTF-8, commas, a header of column names; blank lines and spaces after commas go.

    Raises:
        InvalidInput: It is none, has too many rows, or one with another number of values than the header.
    """
    try:
        text = body.decode("utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError as error:
        msg = f"body: byte {error.start} is no UTF-8, expected CSV in UTF-8"
        raise InvalidInput(msg) from error
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header = next(lines, [])
        _check_header(header)
        return list(_rows(lines, header))
    except csv.Error as error:
        msg = f"line {lines.line_num}: {error}, expected CSV"
        raise InvalidInput(msg) from error


def _check_header(header: list[str]) -> None:
    seen: set[str] = set()
    for name in header:
        if not name or name in seen:
            found = f"column {name[:_SHOWN]!r} twice" if name else "a column without a name"
            msg = f"line 1: {found}, expected the name of each column once"
            raise InvalidInput(msg)
        seen.add(name)
    if not header:
        msg = "line 1: nothing, expected the names of the columns"
        raise InvalidInput(msg)


def _rows(lines: "_csv.Reader", header: list[str]) -> Iterator[TextRow]:
    for number, values in enumerate(filter(None, lines)):
        if number == MOST_INSTANCES:
            msg = f"line {lines.line_num}: more than {MOST_INSTANCES:,} rows, expected at most that many in a request"
            raise InvalidInput(msg)
        if len(values) != len(header):
            msg = f"line {lines.line_num}: {len(values)} values, expected {len(header)} as in the header"
            raise InvalidInput(msg)
        yield TextRow(dict(zip(header, values, strict=True)), lines.line_num)
