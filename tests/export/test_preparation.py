"""Operators are fused only where the fused graph answers as PyTorch does."""

from pathlib import Path

import numpy as np

from export.candidates import Bench
from export.judge import HeldOut, Judge
from export.preparation import prepare_best
from export.search import Budget, ErrorMeter
from handlers.runtime.session import Session
from tests.export.quantize.test_graph import encoder


def test_fused_graph_that_does_not_answer_as_pytorch_does_is_not_taken(tmp_path: Path) -> None:
    path, inputs = encoder(tmp_path)
    right = Session(path, threads=1).run(inputs)
    bench = Bench(Judge(HeldOut([inputs], [right], None, held_out=True), None, 0.01), [], 1, inputs, threads=1)

    def described(expected: np.ndarray) -> str:
        meter = ErrorMeter([(inputs, {"y": expected})], tmp_path, 1, Budget(60))
        prepared, words = prepare_best(path, bench, meter)
        assert bool(prepared.fused) == bool(words)
        return words

    assert described(right["y"] * 1.01) == ""
    assert described(right["y"]) in {"", "; fused: 1 attention, 1 GELU"}  # as it is timed
    assert [file.name for file in tmp_path.iterdir()] == ["fp32.onnx"]
