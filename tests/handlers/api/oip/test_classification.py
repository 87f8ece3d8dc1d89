"""Outputs as classes: by themselves, with labels of a task, and through the protocol."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from handlers.api.call import Call
from handlers.api.oip.classification import classify, labels_of
from handlers.api.oip.inference import infer
from handlers.api.service import Service
from handlers.errors import InvalidInput
from handlers.tasks.definitions import ImageClassificationTask
from tests.handlers.api.gateway import Gateway, infer_body, tensor

TASK = ImageClassificationTask(input="x", output="y", labels=("cat", "dog", "cow"))
SCORES = tensor("x", "FP32", [2, 3], [0, 0.5, 0.25, 2, 1, 1])


def classes(most: int) -> list[dict[str, object]]:
    return [{"name": "y", "parameters": {"classification": most}}]


def test_the_largest_come_first_with_value_index_and_label() -> None:
    found = classify("y", np.array([[1, 3, 2], [6, 4, 5]], np.float32), 2, ["cat", "dog", "cow"])

    assert found.tolist() == [["3.0:1:dog", "2.0:2:cow"], ["6.0:0:cat", "5.0:2:cow"]]


def test_without_a_label_for_each_element_there_are_none() -> None:
    for labels in ([], ["cat"], ["cat", "dog", "cow", "pig"]):
        assert classify("y", np.array([[1, 3, 2]]), 1, labels).tolist() == [["3:1"]]


def test_a_single_axis_is_one_sample_and_more_than_two_count_as_two() -> None:
    assert classify("y", np.array([1, 3], np.int8), 9, []).tolist() == ["3:1", "1:0"]
    assert classify("y", np.arange(8).reshape(2, 2, 2), 1, []).tolist() == [["3:3"], ["7:3"]]


def test_equal_elements_keep_their_order_and_nan_comes_last() -> None:
    assert classify("y", np.array([1, np.nan, 1, np.inf, -np.inf]), 5, []).tolist() == [
        *("inf:3", "1.0:0", "1.0:2", "nan:1", "-inf:4"),
    ]
    assert classify("y", np.array([0, 2**64 - 1, 0], np.uint64), 3, []).tolist() == [f"{2**64 - 1}:1", "0:0", "0:2"]


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_of_nothing_there_are_no_classes(shape: tuple[int, ...]) -> None:
    assert classify("y", np.zeros(shape), 3, []).shape == (*shape[:-1], min(3, shape[-1]))


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-3, 3)),
    st.integers(1, 8),
)
def test_classes_are_those_that_sorting_finds(array: np.ndarray, most: int) -> None:
    found = classify("y", array, most, [])

    for row, texts in zip(array.tolist(), found.tolist(), strict=True):
        expected = sorted(range(len(row)), key=lambda index: -row[index])[:most]
        assert texts == [f"{row[index]}:{index}" for index in expected]


@pytest.mark.parametrize("array", [np.array([True]), np.array(["a"], object), np.array(1.0)])
def test_what_is_no_list_of_numbers_has_no_classes(array: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"^output 'y': .*expected numbers of classes to classify by"):
        classify("y", array, 1, [])


def test_labels_are_those_of_the_tasks_own_output(gateway: Gateway, service: Service) -> None:
    del gateway  # which has loaded the models
    model = service.models.find("affine")
    assert model is not None
    labelled = replace(model, manifest=msgspec.structs.replace(model.manifest, task=TASK))

    answer = infer(Call(labelled), msgspec.json.encode(infer_body(SCORES, outputs=classes(2))))

    assert labels_of(labelled.manifest, "x") == labels_of(model.manifest, "y") == ()
    assert msgspec.json.decode(answer.body)["outputs"] == [
        {
            "name": "y",
            "shape": [2, 2],
            "datatype": "BYTES",
            "data": ["2.0:1:dog", "1.5:2:cow", "5.0:0:cat", "3.0:1:dog"],
        }
    ]


def test_a_request_may_ask_for_classes_in_json_and_in_binary(gateway: Gateway) -> None:
    in_json = gateway.infer("affine", infer_body(SCORES, outputs=classes(1)))
    in_binary = gateway.infer("affine", infer_body(SCORES, outputs=classes(1), parameters={"binary_data_output": True}))

    output = {"name": "y", "shape": [2, 1], "datatype": "BYTES"}
    assert in_json.body["outputs"] == [output | {"data": ["2.0:1", "5.0:0"]}]
    assert in_binary.body["outputs"] == [output | {"parameters": {"binary_data_size": 18}}]
    assert in_binary.tensors == b"\5\0\0\x002.0:1\5\0\0\x005.0:0"


@pytest.mark.parametrize("most", [0, -1, 1.5, "2", True])
def test_a_number_of_classes_that_makes_no_sense_is_refused(gateway: Gateway, most: object) -> None:
    outputs = [{"name": "y", "parameters": {"classification": most}}]

    answer = gateway.infer("affine", infer_body(SCORES, outputs=outputs))

    assert answer.status == 400
    assert answer.body["error"].startswith("output 'y': parameters: Expected `int")


def test_more_classes_than_there_are_are_all(gateway: Gateway) -> None:
    answer = gateway.infer("affine", infer_body(SCORES, outputs=classes(2**62)))

    assert answer.body["outputs"][0]["shape"] == [2, 3]


def test_text_is_not_classified(gateway: Gateway) -> None:
    answer = gateway.infer("identity-bytes", infer_body(tensor("x", "BYTES", [1, 1], ["a"]), outputs=classes(1)))

    assert answer.status == 400
    assert answer.body["error"] == "output 'y': object [1, 1], expected numbers of classes to classify by"
