"""CSV bodies: what is read, and what is refused with the line that it is on."""

import pytest

from handlers.errors import InvalidInput
from handlers.tasks.table import read_csv
from handlers.tasks.task import MOST_INSTANCES


def test_a_file_as_spreadsheets_write_it() -> None:
    rows = read_csv('\ufeffname,"note"\r\nZoë,"a ""b"",\nc"\r\n\r\nx, y\r\n'.encode())

    assert [row.cells for row in rows] == [{"name": "Zoë", "note": 'a "b",\nc'}, {"name": "x", "note": "y"}]
    assert [row.line for row in rows] == [3, 5]


def test_a_header_alone_holds_no_rows() -> None:
    assert read_csv(b"a,b\n") == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "line 1: nothing, expected the names of the columns"),
        (b"\n", "line 1: nothing, expected the names of the columns"),
        (b"a,a\n", "line 1: column 'a' twice, expected the name of each column once"),
        (b"a,\n", "line 1: a column without a name, expected"),
        (b"a,b\n1,2\n3\n", "line 3: 1 values, expected 2 as in the header"),
        (b"a\n\xff\n", "body: byte 2 is no UTF-8, expected CSV in UTF-8"),
        (b'a\n"1\n', "line 2: unexpected end of data, expected CSV"),
        (b"a\n" + b"x" * 200_000, "line 2: field larger than field limit (131072), expected CSV"),
    ],
)
def test_what_is_no_table_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_csv(body)
    assert message in str(caught.value)


def test_rows_are_bounded() -> None:
    assert len(read_csv(b"a\n" + b"1\n" * MOST_INSTANCES)) == MOST_INSTANCES
    with pytest.raises(InvalidInput, match=f"line {MOST_INSTANCES + 2}: more than 100,000 rows"):
        read_csv(b"a\n" + b"1\n" * (MOST_INSTANCES + 1))
