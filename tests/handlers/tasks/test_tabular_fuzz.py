"""Whatever a row or a file holds, it is encoded in finite numbers or refused."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import InvalidInput
from handlers.tasks.table import read_csv
from handlers.tasks.task import Task
from tests.handlers.tasks.test_tabular import opened

TASK: Task = opened()
NAMES = ["age", "fare", "deck", "paid", "ticket"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)
ROWS = st.fixed_dictionaries(
    {"age": st.integers(0, 120) | VALUES, "paid": st.sampled_from(["true", "false", True, 3]) | VALUES},
    optional={"fare": VALUES, "deck": VALUES, "ticket": VALUES},
)
CELLS = (
    st.sampled_from(["", "?", "1", "nan", "-inf", "1e400", "1_0", "true", "3", "٣", "a", '"', "\x00", "é"]) | st.text()
)


FUZZ = settings(deadline=None)

T = TypeVar("T")


def or_refusal(make: Callable[[], T]) -> T | str:
    """Return what is made, or the message of the refusal."""
    try:
        return make()
    except InvalidInput as error:
        return str(error)


def check_encoding(instances: list[object]) -> None:
    inputs = or_refusal(lambda: TASK.collate(TASK.prepare(instances)))
    if isinstance(inputs, str):
        assert ", expected " in inputs
        assert len(inputs) < 1_000
        return
    assert inputs["x"].shape == (len(instances), 8)
    assert np.isfinite(inputs["x"]).all()


@FUZZ
@given(st.lists(ROWS | VALUES, min_size=1, max_size=3))
def test_any_json_is_encoded_or_refused(rows: list[object]) -> None:
    check_encoding(rows)


@FUZZ
@given(st.permutations(NAMES), st.lists(st.lists(CELLS, min_size=5, max_size=5), min_size=1, max_size=3))
def test_any_table_is_encoded_or_refused(header: list[str], lines: list[list[str]]) -> None:
    text = "\n".join(",".join(cells) for cells in [header, *lines])
    rows = or_refusal(lambda: read_csv(text.encode("utf-8", "replace")))
    if isinstance(rows, str):
        assert ", expected " in rows
    elif rows:
        check_encoding([*rows])


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    rows = or_refusal(lambda: read_csv(body))
    assert isinstance(rows, list) or ", expected " in rows
