"""Runs take turns, and memory is that of the model alone."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.errors import GateError
from export.measure import interleaved_medians_ms, memory_use

ROWS, COLUMNS = 2500, 5000
WEIGHT_BYTES = 4 * ROWS * COLUMNS  # 50 MB


@pytest.mark.parametrize(("budget_s", "rounds"), [(0.0, 5), (60.0, 8)])
def test_runs_take_turns_and_each_that_is_timed_follows_one_of_its_own(budget_s: float, rounds: int) -> None:
    calls: list[str] = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    interleaved_medians_ms(runs, budget_s=budget_s, at_least=5, at_most=8)
    turns = ["".join(calls[i : i + 6]) for i in range(0, len(calls), 6)]
    assert len(turns) == rounds
    assert all(sorted(turn) == sorted("aabbcc") and turn[::2] == turn[1::2] for turn in turns)
    assert len(set(turns)) > 1  # who comes after whom changes


def test_median_is_not_moved_by_one_slow_run() -> None:
    pauses = iter([0.0, 1.6] + [0.0, 0.005] * 4)  # the mean of what is timed is above 300 ms on any machine
    medians = interleaved_medians_ms({"a": lambda: time.sleep(next(pauses))}, budget_s=0, at_least=5)
    assert 5 <= medians["a"] < 300


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with 50 MB of weights: y = x @ w, x [1, 2500]."""
    weights = numpy_helper.from_array(np.ones((ROWS, COLUMNS), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "heavy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, ROWS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, COLUMNS])],
        [weights],
    )
    path = tmp_path_factory.mktemp("heavy") / "heavy.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_peak_memory_is_that_of_the_model_however_large_this_process_is(heavy: Path) -> None:
    inputs = {"x": np.ones((1, ROWS), np.float32)}
    before = memory_use(heavy, inputs, 1, None).peak_bytes
    ballast = np.ones(300_000_000, np.uint8)
    beside = memory_use(heavy, inputs, 1, None).peak_bytes
    assert ballast.all()
    assert before >= WEIGHT_BYTES
    assert beside >= WEIGHT_BYTES
    assert abs(beside - before) < 30_000_000  # pages that the kernel keeps or drops as it likes
    assert beside < 5 * WEIGHT_BYTES


def test_model_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(GateError, match=r"broken.onnx: onnxruntime .* cannot open it"):
        memory_use(tmp_path / "broken.onnx", {}, 1, None)
