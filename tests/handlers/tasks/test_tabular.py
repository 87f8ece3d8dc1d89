"""Rows of named columns to tensors and back, on the definition of a tiny model; Adult has its own tests."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from handlers.errors import InvalidInput, RuntimeFailure, UnsupportedManifest
from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import CategoricalColumn, NumericColumn, TabularTask
from handlers.tasks.opening import open_task
from handlers.tasks.table import TextRow, read_csv
from handlers.tasks.task import Task

AGE = NumericColumn(name="age", input="x", offset=10, scale=4, minimum=0, maximum=120)
FARE = NumericColumn(name="fare", input="x", missing=7.5)
DECK = CategoricalColumn(
    name="deck", input="x", categories=("a", "b", "c"), aliases={"B": "b"}, missing="c", unknown="a"
)
PAID = CategoricalColumn(name="paid", input="x", categories=("true", "false", "3"))
TASK = TabularTask(
    columns=(AGE, FARE, DECK, PAID), output="y", labels=("no", "yes"), ignored=("ticket",), missing_words=("", "?")
)
ROW = {"age": 14, "fare": 2.5, "deck": "B", "paid": "true"}
EIGHT = [TensorSpec(name="x", datatype="FP32", shape=(-1, 8))]


def opened(
    task: TabularTask = TASK, inputs: Sequence[TensorSpec] = EIGHT, elements: int | None = 2, datatype: str = "FP32"
) -> Task:
    shape = (-1,) if elements is None else (-1, elements)
    return open_task(task, inputs, [TensorSpec(name="y", datatype=datatype, shape=shape)], None)  # type: ignore[arg-type]


def encoded(*rows: object, task: Task | None = None) -> list[list[float]]:
    task = task or opened()
    array = task.collate(task.prepare(rows))["x"]
    assert array.dtype == np.float32
    found: list[list[float]] = array.tolist()
    return found


def refusal(*rows: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        opened().prepare(rows)
    return str(caught.value)


def test_columns_stand_side_by_side_in_any_order_of_the_row() -> None:
    assert encoded(ROW, dict(reversed(ROW.items()))) == [[1, 2.5, 0, 1, 0, 1, 0, 0]] * 2


@pytest.mark.parametrize("nothing", [None, "", "?", float("nan")])
def test_what_is_missing_is_filled_as_recorded(nothing: object) -> None:
    assert encoded(ROW | {"deck": nothing})[0][2:5] == [0, 0, 1]


def test_a_column_that_is_absent_is_missing() -> None:
    assert (
        encoded({"age": 10, "paid": "false"}, {"age": 10, "paid": "false", "fare": None})
        == [[0, 7.5, 0, 0, 1, 0, 1, 0]] * 2
    )


def test_another_word_is_the_unknown_category() -> None:
    assert encoded(ROW | {"deck": "z"})[0][2:5] == [1, 0, 0]


@pytest.mark.parametrize(("value", "place"), [(True, 0), (False, 1), ("false", 1), (3, 2)])
def test_booleans_and_integers_are_words_too(value: object, place: int) -> None:
    assert np.argmax(encoded(ROW | {"paid": value})[0][5:]) == place


def test_ignored_columns_may_hold_anything() -> None:
    assert encoded(ROW | {"ticket": [{}]}) == encoded(ROW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "14"}, "instances[1], column 'age': '14', expected a finite number from 0 to 120"),
        ({"age": True}, "instances[1], column 'age': true, expected a finite number from 0 to 120"),
        ({"age": None}, "instances[1], column 'age': nothing, expected a finite number from 0 to 120"),
        ({"age": 120.5}, "instances[1], column 'age': 120.5, expected a finite number from 0 to 120"),
        ({"age": [1]}, "instances[1], column 'age': an array, expected a finite number from 0 to 120"),
        ({"fare": float("inf")}, "instances[1], column 'fare': inf, expected a finite number"),
        (
            {"fare": 1e39},
            "instances[1], column 'fare': 1e+39, expected a finite number, within float32 once it is scaled",
        ),
        ({"fare": 2**53 + 1}, "column 'fare': 9007199254740993, expected a finite number; as an integer at most"),
        ({"fare": 10**5000}, "column 'fare': an integer of 16610 bits, expected a finite number; as an integer"),
        ({"fare": ""}, "column 'fare': '', expected a finite number"),
        ({"deck": {}}, "instances[1], column 'deck': an object, expected one of: 'a', 'b', 'c'"),
        ({"deck": 10**5000}, "column 'deck': an integer of 16610 bits, expected one of"),
        ({"paid": "?"}, "instances[1], column 'paid': '?', expected one of: 'true', 'false', '3'"),
        ({"paid": 3.0}, "column 'paid': 3.0, expected one of"),
        ({"paid": "z" * 1000}, f"column 'paid': '{'z' * 60}'..., expected one of"),
        ({"agee": 1}, "instances[1]: unknown columns 'agee', expected some of: 'age', 'fare', 'deck', 'paid'"),
    ],
)
def test_a_refusal_names_row_column_found_and_expected(change: dict[str, object], message: str) -> None:
    assert message in refusal(ROW, ROW | change)


def test_what_is_no_object_is_refused() -> None:
    assert refusal(ROW, [1, 2]) == "instances[1]: list, expected an object of: 'age', 'fare', 'deck', 'paid'"


def test_unknown_columns_are_shown_beside_those_that_may_have_been_meant() -> None:
    assert refusal({"agee": 1} | {name: ROW[name] for name in ("fare", "paid")}).endswith("some of: 'age', 'deck'")


def test_rows_of_csv_are_those_of_json() -> None:
    rows = read_csv(
        b"paid, age ,fare,deck,ticket\r\ntrue, 14,2.5,B,\r\n\r\nfalse,1e1,?,,x\r\n".replace(b" age ", b"age")
    )

    assert [row.line for row in rows] == [2, 4]
    assert encoded(*rows) == encoded(ROW, {"age": 10, "paid": "false"})


@pytest.mark.parametrize("number", ["nan", "NaN", " ", "?"])
def test_text_that_is_no_number_is_missing(number: str) -> None:
    assert encoded(TextRow({"age": "14", "paid": "true", "fare": number}, 2))[0][1] == 7.5


@pytest.mark.parametrize("number", ["inf", "1_000", "0x10", "abc", "9007199254740993"])
def test_text_that_is_another_number_is_refused(number: str) -> None:
    found = refusal(TextRow({"age": "14", "paid": "true", "fare": number}, 7))

    assert found.startswith(f"line 7, column 'fare': {number!r}, expected a finite number")


def test_dummies_lack_the_first_category_and_indices_count() -> None:
    dummy = CategoricalColumn(name="deck", input="x", categories=("a", "b", "c"), encoding="dummy")
    port = CategoricalColumn(name="port", input="index", categories=("s", "q"), encoding="index")
    inputs = [
        TensorSpec(name="index", datatype="INT64", shape=(-1,)),
        TensorSpec(name="x", datatype="FP32", shape=(-1, 2)),
    ]
    task = opened(TabularTask(columns=(dummy, port), output="y"), inputs)

    found = task.collate(task.prepare([{"deck": "a", "port": "q"}, {"deck": "c", "port": "s"}]))

    assert found["x"].tolist() == [[0, 0], [0, 1]]
    assert found["index"].tolist() == [1, 0]
    assert found["index"].dtype == np.int64


def test_numbers_for_an_integer_tensor_are_whole() -> None:
    count = TabularTask(columns=(NumericColumn(name="n", input="x", missing=0),), output="y")
    task = opened(count, [TensorSpec(name="x", datatype="INT8", shape=(-1, 1))])

    assert task.collate(task.prepare([{"n": 3.0}, {"n": -128}, {}]))["x"].tolist() == [[3], [-128], [0]]
    for value in (0.5, 128):
        with pytest.raises(InvalidInput, match="expected a whole number"):
            task.prepare([{"n": value}])


def test_labels_are_sorted_by_score() -> None:
    task = opened()
    outputs = {"y": np.array([[0.25, 0.75], [1, 0]], np.float32)}

    found = task.answer(task.prepare([ROW, ROW]), outputs, task.check_options({}))
    best = task.answer(task.prepare([ROW, ROW]), outputs, task.check_options({"top_k": 1}))

    yes, no = {"label": "yes", "score": 0.75}, {"label": "no", "score": 0.25}
    assert found == [[yes, no], [{"label": "no", "score": 1.0}, {"label": "yes", "score": 0.0}]]
    assert best == [[yes], [{"label": "no", "score": 1.0}]]


@pytest.mark.parametrize("elements", [1, None])
def test_one_element_is_the_score_of_the_second_label(elements: int | None) -> None:
    task = opened(elements=elements)
    outputs = {"y": np.array([[0.125]] if elements else [0.125], np.float32)}

    assert task.answer(task.prepare([ROW]), outputs, None) == [
        [{"label": "no", "score": 0.875}, {"label": "yes", "score": 0.125}]
    ]


def test_without_labels_the_elements_are_the_answer() -> None:
    regression = TabularTask(columns=TASK.columns, output="y")
    one, two = np.array([[0.5], [2]], np.float32), np.array([[1, 2], [3, 4]], np.float32)

    assert opened(regression, elements=1).answer([*opened().prepare([ROW, ROW])], {"y": one}, None) == [0.5, 2]
    assert opened(regression).answer([*opened().prepare([ROW, ROW])], {"y": two}, None) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": "1"}, {"k": 1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="parameters"):
        opened().check_options(options)


def test_regression_takes_no_options() -> None:
    with pytest.raises(InvalidInput, match="parameters"):
        opened(TabularTask(columns=TASK.columns, output="y")).check_options({"top_k": 1})


def test_more_elements_than_labels_are_a_fault_of_the_model() -> None:
    with pytest.raises(RuntimeFailure, match="3 elements, expected one for each label"):
        opened(elements=-1).answer(opened().prepare([ROW]), {"y": np.zeros((1, 3), np.float32)}, None)


def test_schema_and_example_say_what_is_taken() -> None:
    schema = opened().instance_schema

    assert schema["required"] == ["age", "paid"]
    assert not schema["additionalProperties"]
    assert schema["properties"]["age"] == {"type": "number", "minimum": 0, "maximum": 120}
    assert schema["properties"]["fare"] == {"type": "number", "nullable": True}
    assert schema["properties"]["paid"] == {
        "anyOf": [{"type": "string", "enum": ["3", "false", "true"]}, {"enum": [3, False, True]}]
    }
    assert schema["properties"]["ticket"] == {}
    strict = CategoricalColumn(name="deck", input="x", categories=("a", "b"), aliases={"A": "a"}, missing="b")
    other = opened(TabularTask(columns=(strict,), output="y"), [TensorSpec(name="x", datatype="FP32", shape=(-1, 2))])
    assert other.instance_schema["properties"]["deck"] == {
        "type": "string",
        "enum": ["", "A", "a", "b", None],
        "nullable": True,
    }
    assert opened().example == {"age": 10, "fare": 0, "deck": "a", "paid": "true"}
    assert len(encoded(opened().example)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": (AGE, FARE, DECK)}, "5 elements from the columns of input 'x', expected [-1, 8] of the model"),
        ({"columns": (*TASK.columns, AGE)}, "column 'age' twice"),
        ({"ignored": ("age",)}, "column 'age' twice"),
        ({"columns": (NumericColumn(name="a", input="z"),)}, "columns of inputs z, expected of those of the model: x"),
        ({"columns": (NumericColumn(name="a", input="x", scale=0),)}, "column 'a': scale 0"),
        ({"columns": (NumericColumn(name="a", input="x", minimum=2, maximum=1),)}, "column 'a': minimum 2"),
        ({"columns": (CategoricalColumn(name="a", input="x", categories=("b", "b")),)}, "a category twice"),
        ({"columns": (CategoricalColumn(name="a", input="x", categories=("b",), missing="c"),)}, "'c' in place of"),
        ({"columns": (CategoricalColumn(name="a", input="x", categories=("b",), aliases={"c": "d"}),)}, "'d' in place"),
        ({"columns": (CategoricalColumn(name="a", input="x", categories=("b",), aliases={"b": "b"}),)}, "alias 'b'"),
        ({"columns": (CategoricalColumn(name="a", input="x", categories=("b",), encoding="dummy"),)}, "dummy encoding"),
        ({"labels": ("one",)}, "labels one, expected two or more"),
        ({"labels": ("one", "two", "three")}, "output 'y' of 2 elements, expected 3 elements"),
        ({"labels": (), "activation": "softmax"}, "activation 'softmax' without labels"),
        ({"output": "z"}, "output 'z', expected one of the model's: y"),
    ],
)
def test_a_definition_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedManifest) as caught:
        opened(msgspec.structs.replace(TASK, **change))
    assert message in str(caught.value)
    assert ", expected " in str(caught.value)


def test_softmax_of_one_element_and_text_are_refused() -> None:
    one = TabularTask(columns=TASK.columns, output="y", labels=("no", "yes"), activation="softmax")
    with pytest.raises(UnsupportedManifest, match="softmax of one element"):
        opened(one, elements=1)
    with pytest.raises(UnsupportedManifest, match="expected numbers"):
        opened(datatype="BYTES")
    with pytest.raises(UnsupportedManifest, match="'x', which is BOOL"):
        opened(inputs=[TensorSpec(name="x", datatype="BOOL", shape=(-1, 8))])
