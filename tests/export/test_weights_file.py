from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.weights_file import split_weights, weights_path
from handlers.runtime.session import Session

LARGE = np.arange(512 * 513, dtype=np.float32).reshape(512, 513) / 1e5  # 1.05 MB, and no multiple of the alignment
SMALL = np.ones(513, np.float32)


def model(path: Path, weights: np.ndarray) -> Path:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["s"]),
             helper.make_node("Mul", ["s", "c"], ["y"])]  # fmt: skip
    columns = weights.shape[1]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", len(weights)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", columns])],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(SMALL[:columns], "b"),
            numpy_helper.from_array(np.array(2, np.float32), "c"),
        ],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def test_weights_lie_in_a_file_of_their_own_and_answers_stay(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", LARGE)
    given = {"x": np.linspace(-1, 1, 1024, dtype=np.float32).reshape(2, 512)}
    before = Session(path, threads=1).run(given)["y"]
    split_weights(path)
    data = weights_path(path)
    assert (path.stat().st_size < 1000, data.name) == (True, "m.onnx.data")
    tensors = {tensor.name: tensor for tensor in onnx.load(path, load_external_data=False).graph.initializer}
    assert [name for name, tensor in tensors.items() if tensor.data_location == TensorProto.EXTERNAL] == ["w", "b"]
    places = [{entry.key: entry.value for entry in tensors[name].external_data} for name in ("w", "b")]
    assert all(place["location"] == data.name and int(place["offset"]) % 64 == 0 for place in places)
    np.testing.assert_array_equal(numpy_helper.to_array(onnx.load(path).graph.initializer[0]), LARGE)
    np.testing.assert_array_equal(Session(path, threads=1).run(given)["y"], before)


def test_it_changes_nothing_the_second_time(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", LARGE)
    split_weights(path)
    first = path.read_bytes(), weights_path(path).read_bytes()
    split_weights(path)
    assert (path.read_bytes(), weights_path(path).read_bytes()) == first


def test_few_weights_stay_in_the_graph(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", LARGE[:, :128])
    before = path.read_bytes()
    split_weights(path)
    assert path.read_bytes() == before
    assert not weights_path(path).exists()
