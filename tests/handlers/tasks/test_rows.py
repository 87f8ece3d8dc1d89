"""Instances of the task `tensor`: lists of elements become arrays, whatever else is refused by its number."""

import re
import time
import tracemalloc

import numpy as np
import pytest

from handlers.errors import InvalidInput
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.tasks.rows import TensorRows


def rows(datatype: Datatype, *axes: int, **others: Datatype) -> TensorRows:
    """Return the task of a model whose input is `x`, and others of the same shape."""
    specs = [
        TensorSpec(name=name, datatype=kind, shape=(-1, *axes)) for name, kind in {"x": datatype, **others}.items()
    ]
    return TensorRows(specs, specs)


@pytest.mark.parametrize(
    ("datatype", "instances", "expected"),
    [
        ("FP32", [[0, 1.5], [2, None]], np.array([[0, 1.5], [2, np.nan]], np.float32)),
        ("BF16", [[1.0001, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.float32)),
        ("UINT8", [[0, 255], [1, 2]], np.array([[0, 255], [1, 2]], np.uint8)),
        ("BOOL", [[True, False], [False, True]], np.array([[True, False], [False, True]])),
        ("BYTES", [["a", ""], ["b" * 100, "c"]], np.array([["a", ""], ["b" * 100, "c"]], object)),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
def test_instances_become_arrays(
    datatype: Datatype, instances: list[object], expected: np.ndarray, *, by_name: bool
) -> None:
    task = rows(datatype, 2)

    found = task.collate(task.prepare([instances[0], {"x": instances[1]} if by_name else instances[1]]))

    assert found["x"].dtype == expected.dtype
    np.testing.assert_array_equal(found["x"], expected)


@pytest.mark.parametrize(("datatype", "instances"), [("FP64", [1.5, 2.5]), ("BYTES", ["a", "bc"])])
def test_an_instance_may_be_a_single_element(datatype: Datatype, instances: list[object]) -> None:
    task = rows(datatype)

    found = task.collate(task.prepare(instances))["x"]

    assert (found.tolist(), found.dtype) == (instances, np.dtype(object if datatype == "BYTES" else np.float64))


def test_a_model_without_axes_takes_elements() -> None:
    spec = TensorSpec(name="x", datatype="FP32", shape=())
    task = TensorRows([spec], [spec])

    assert task.collate(task.prepare([1, 2.5]))["x"].tolist() == [1, 2.5]


def test_instances_may_differ_in_the_length_of_a_variable_axis() -> None:
    first, second = rows("FP32", -1).prepare([[1, 2], [3]])

    assert [rows("FP32", -1).collate([row])["x"].tolist() for row in (first, second)] == [[[1, 2]], [[3]]]


@pytest.mark.parametrize(
    ("datatype", "instance", "message"),
    [
        ("FP32", ["a", 2], "no array of FP32 (Expected `float | null`, got `str` at [0]), expected shape [2]"),
        ("FP32", 7, "no array of FP32 (Expected `array`, got `int`), expected shape [2]"),
        ("FP32", [[1], [2]], "no array of FP32 (Expected `float | null`, got `array` at [0]), expected shape [2]"),
        ("FP32", [1], "shape [1], expected [2] where -1 is any length"),
        ("FP32", [1, 1e39], "a number beyond FP32, expected at most 3.4"),
        ("FP32", [1, 10**400], "no array of FP32 (Number out of range at [1]), expected shape [2]"),
        ("UINT8", [1, 256], "no array of UINT8 (Expected `int` <= 255 at [1]), expected shape [2]"),
        ("INT64", [1, 2**70], "data cannot be an array of INT64 ("),
        ("INT64", [1, 1.5], "no array of INT64 (Expected `int`, got `float` at [1]), expected shape [2]"),
        ("BOOL", [True, 1], "no array of BOOL (Expected `bool`, got `int` at [1]), expected shape [2]"),
        ("BYTES", ["a"], "shape [1], expected [2] where -1 is any length"),
        ("BYTES", ["a", 1], "no array of BYTES (Expected `str`, got `int` at [1]), expected shape [2]"),
    ],
)
def test_what_is_no_such_array_is_refused_by_its_number(datatype: Datatype, instance: object, message: str) -> None:
    task = rows(datatype, 2)

    with pytest.raises(InvalidInput, match=f"^{re.escape(f'instances[3]: {message}')}"):
        task.prepare([task.example] * 3 + [instance])


@pytest.mark.parametrize(("datatype", "ragged"), [("FP32", [[1, 2], [3]]), ("BYTES", [["a", "b"], ["c"]])])
def test_a_ragged_instance_is_refused(datatype: Datatype, ragged: object) -> None:
    with pytest.raises(InvalidInput, match=r"^instances\[1\]: data .*, expected "):
        rows(datatype, -1, 2).prepare([rows(datatype, -1, 2).example, ragged])


@pytest.mark.parametrize("instance", [[1, 2], {"x": [1, 2]}, {"x": [1, 2], "z": [1, 2]}])
def test_several_inputs_come_by_name(instance: object) -> None:
    task = rows("FP32", 2, y="INT64")
    good = {"x": [0.5, 1], "y": [2, 3]}

    assert {name: value.tolist() for name, value in task.collate(task.prepare([good])).items()} == {
        name: [value] for name, value in good.items()
    }
    with pytest.raises(InvalidInput, match=r"^instances\[1\]: .*, expected an object with x, y$"):
        task.prepare([good, instance])


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_a_long_text_among_short_ones_takes_no_memory(datatype: Datatype) -> None:
    # numpy makes every element of an array of text as wide as the longest: these would be 400 MB
    texts = ["a" * 100_000, *["b"] * 1_000]
    tracemalloc.start()
    try:
        rows(datatype, -1).prepare([texts])
    except InvalidInput:
        assert datatype == "FP32"
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 1_000_000


def test_many_instances_are_read_together() -> None:
    task = rows("FP32", 3)
    instances: list[object] = [[0.5, 1, 2]] * 20_000
    start = time.perf_counter()

    task.prepare(instances)

    assert time.perf_counter() - start < 0.5  # 0.05 s, and 1.8 where numpy looks at each by itself
