from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from handlers.errors import InvalidInput, RuntimeFailure
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.runtime.session import Session
from handlers.tasks.datatypes import NUMPY_TYPES
from tests.graphs import ONNX_TYPES, affine, gather, identity, sum_and_difference


def open_graph(graph: ModelProto, folder: Path) -> Session:
    path = folder / "graph.onnx"
    onnx.save(graph, path)
    session = Session(path, threads=1)
    path.unlink()  # nothing of it is needed any more
    return session


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_of_the_protocol_goes_in_and_comes_out(tmp_path: Path, datatype: Datatype) -> None:
    session = open_graph(identity(datatype, ["rows", 2]), tmp_path)
    array = np.array([[0, 1], [1, 0], [1, 1]]).astype(NUMPY_TYPES[datatype])
    if datatype == "BYTES":
        array = np.array([["", "a"], ["ä\0", "😀"], ["[1]", "null"]], dtype=object)

    found = session.run({"x": array})["y"]

    assert session.inputs == (TensorSpec(name="x", datatype=datatype, shape=(-1, 2)),)
    assert found.dtype == NUMPY_TYPES[datatype]
    np.testing.assert_array_equal(found, array)


def test_outputs_come_in_the_order_asked_for(tmp_path: Path) -> None:
    session = open_graph(sum_and_difference(), tmp_path)
    given = {"a": np.array([[3, 4]], np.float32), "b": np.array([[1, 1]], np.float32)}

    assert list(session.run(given)) == ["sum", "difference"]
    assert list(session.run(given, ["difference", "sum"])) == ["difference", "sum"]
    assert session.run(given, ["difference"])["difference"].tolist() == [[2, 3]]


def test_a_model_that_cannot_run_on_an_input_refuses_it_and_says_nothing_elsewhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = open_graph(gather([1.0, 2.0, 3.0]), tmp_path)

    with pytest.raises(InvalidInput, match=r"^inputs: the model cannot be run on them: .*idx=77777.*\[-3,2\]"):
        session.run({"index": np.array([77777])})

    assert capfd.readouterr() == ("", "")  # what onnxruntime writes by itself would quote the request
    assert session.run({"index": np.array([2])})["value"].tolist() == [3.0]


def test_axes_that_do_not_fit_each_other_are_the_inputs_fault(tmp_path: Path) -> None:
    session = open_graph(sum_and_difference(), tmp_path)

    with pytest.raises(InvalidInput, match="the model cannot be run on them"):
        session.run({"a": np.zeros((2, 2), np.float32), "b": np.zeros((3, 2), np.float32)})


def test_a_run_that_does_not_fit_into_memory_is_not_the_inputs_fault(tmp_path: Path) -> None:
    graph = sum_and_difference()
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.shape.dim[1].ClearField("dim_value")
        tensor.type.tensor_type.shape.dim[1].dim_param = f"columns_{tensor.name}"
    session = open_graph(graph, tmp_path)
    many = 1 << 22  # a column plus a row of so many make a table of 64 TiB

    with pytest.raises(RuntimeFailure, match="not enough memory for this input"):
        session.run({"a": np.zeros((many, 1), np.float32), "b": np.zeros((1, many), np.float32)})


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x0a"])
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "int8-static.onnx"
    path.write_bytes(content)

    with pytest.raises(RuntimeFailure, match=r"^int8-static\.onnx: onnxruntime .* cannot open it"):
        Session(path, threads=1)


def test_a_type_that_the_protocol_lacks_is_refused(tmp_path: Path) -> None:
    graph = identity("FP32", ["n"])
    for tensor in (*graph.graph.input, *graph.graph.output):
        tensor.type.tensor_type.elem_type = onnx.TensorProto.FLOAT8E4M3FN

    with pytest.raises(RuntimeFailure, match=r"tensor 'x': tensor\(float8e4m3fn\), expected one of"):
        open_graph(graph, tmp_path)


def test_the_signature_is_compared_with_names_types_shapes_and_order(tmp_path: Path) -> None:
    session = open_graph(sum_and_difference(), tmp_path)
    session.check_signature(session.inputs, session.outputs)

    a, b = session.inputs
    wrong = (
        [b, a],
        [a],
        [a, TensorSpec(name="c", datatype="FP32", shape=(-1, 2))],
        [a, TensorSpec(name="b", datatype="FP64", shape=(-1, 2))],
        [a, TensorSpec(name="b", datatype="FP32", shape=(-1, 3))],
    )
    for inputs in wrong:
        with pytest.raises(RuntimeFailure, match=r"^signature: "):
            session.check_signature(inputs, session.outputs)
    with pytest.raises(RuntimeFailure, match=r"^signature: "):
        session.check_signature(session.inputs, session.outputs[::-1])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    session = open_graph(affine(0.1, 0.7), tmp_path)
    given = {"x": np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)}

    assert session.run(given)["y"].tobytes() == session.run(given)["y"].tobytes()


@pytest.mark.parametrize("location", ["../secret.data", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"])
def test_weights_are_read_from_nowhere_but_the_models_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.data").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    graph = affine()
    tensor = next(tensor for tensor in graph.graph.initializer if tensor.name == "scale")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    (folder / "m.onnx").write_bytes(graph.SerializeToString())

    with pytest.raises(RuntimeFailure, match="cannot open it"):
        Session(folder / "m.onnx", threads=1)
