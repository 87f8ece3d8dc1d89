"""Mending leaves no more in float than the gate asks for, and says why where it gives up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from export import ModelSource
from export.candidates import Bench
from export.errors import GateError
from export.judge import HeldOut, Judge
from export.mending import mend
from export.quantize.ahead import optimise_ahead
from export.quantize.families import Dynamic, Family, Weights
from export.quantize.graph import prepare
from export.reference import Reference, to_arrays
from export.search import Budget, ErrorMeter
from handlers.runtime.session import Session
from tests.export.planted import LAYERS, planted
from tests.export.sources import converted, mlp, normal, source_of

UNLIMITED_MS = 1e9


def bench_of(source: ModelSource, max_loss: float) -> Bench:
    assert source.evaluation is not None
    reference = Reference(source)
    inputs = [batch for batch, _ in source.evaluation.batches]
    judge = Judge(HeldOut(inputs, [reference.run(batch) for batch in inputs], None, held_out=True), None, max_loss)
    return Bench(judge, [], 1, to_arrays(source), threads=1)


def meter_of(source: ModelSource, folder: Path, seconds: float = 60) -> ErrorMeter:
    assert source.calibration is not None
    reference = Reference(source)
    return ErrorMeter([(batch, reference.run(batch)) for batch in source.calibration], folder, 1, Budget(seconds))


def family_of(source: ModelSource, folder: Path, kind: type[Weights | Dynamic]) -> Family:
    converted(source, folder / "fp32.onnx")
    return kind(prepare(folder / "fp32.onnx", fuse=False))


@pytest.mark.parametrize("max_loss", [1e-2, 1e-3, 1e-4, 1e-5])
def test_more_is_left_in_float_until_the_gate_is_passed_however_tight(max_loss: float, tmp_path: Path) -> None:
    source = planted(weights=[4])
    family, path = family_of(source, tmp_path, Weights), tmp_path / "mixed.onnx"
    bench = bench_of(source, max_loss)
    candidate, left_out = mend(family, path, "", bench, meter_of(source, tmp_path), UNLIMITED_MS)
    assert candidate.gate.passed
    assert bench.judgements <= 10  # each step leaves out half as many again, at the least, and three may go back
    assert candidate.gate.loss <= max_loss
    assert family.units[4] in left_out
    assert {node.node for node in candidate.float_nodes} == {family.node(unit) for unit in left_out}
    # what lies in the file is what was judged
    judged = bench_of(source, max_loss).measured("again", path).gate
    assert judged.loss == candidate.gate.loss


def test_one_less_in_float_would_not_pass(tmp_path: Path) -> None:
    source = planted(weights=[4, 7])
    family, bench, meter = family_of(source, tmp_path, Weights), bench_of(source, 1e-4), meter_of(source, tmp_path)
    _, left_out = mend(family, tmp_path / "mixed.onnx", "", bench, meter, UNLIMITED_MS)
    errors = {unit: meter.measure(lambda path, u=unit: family.write_only([u], path)) for unit in left_out}  # type: ignore[misc]
    least = min(left_out, key=errors.__getitem__)
    family.write([unit for unit in family.units if unit not in left_out - {least}], tmp_path / "less.onnx")
    assert not bench.measured("less", tmp_path / "less.onnx").gate.passed


def test_family_is_given_up_where_nothing_is_left_to_compute_in_integers(tmp_path: Path) -> None:
    source = planted(weights=[4])  # int8 weights are left in what is computed in float
    family, path = family_of(source, tmp_path, Dynamic), tmp_path / "mixed.onnx"
    with pytest.raises(
        GateError, match=rf"^int8-dynamic with \d+ of {LAYERS} left in float still loses \d+\.\d+% of cosine$"
    ):
        mend(family, path, "", bench_of(source, 1e-6), meter_of(source, tmp_path), UNLIMITED_MS)
    assert not path.exists()


def test_family_that_is_no_faster_is_given_up_at_the_first_miss(tmp_path: Path) -> None:
    source = planted(activations=[4, 8])
    family = family_of(source, tmp_path, Dynamic)
    bench = bench_of(source, 1e-7)
    with pytest.raises(GateError, match=r"still loses .* and takes .* ms, no less than what passes"):
        mend(family, tmp_path / "mixed.onnx", "", bench, meter_of(source, tmp_path), 0.0)
    assert bench.judgements == 1


def test_without_time_everything_is_left_out_and_judged(tmp_path: Path) -> None:
    source = planted(weights=[4])
    family, meter = family_of(source, tmp_path, Weights), meter_of(source, tmp_path, seconds=0)
    candidate, left_out = mend(family, tmp_path / "mixed.onnx", "", bench_of(source, 1e-3), meter, UNLIMITED_MS)
    assert left_out == set(family.units)
    assert candidate.gate.passed
    assert {node.group for node in candidate.float_nodes} == {LAYERS}


def test_graph_that_is_optimised_ahead_answers_as_before(tmp_path: Path) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.LSTM(16, 16, batch_first=True) for _ in range(6)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x)[0]
            return x

    data = normal(2, 5, 16)
    converted(source_of(Gated(), torch.from_numpy(data)), tmp_path / "m.onnx")
    before = (tmp_path / "m.onnx").read_bytes()
    right = Session(tmp_path / "m.onnx", threads=1).run({"x": data})["y"]
    replaced = optimise_ahead(tmp_path / "m.onnx", threads=1)
    assert replaced == ((tmp_path / "m.onnx").read_bytes() != before)
    np.testing.assert_allclose(Session(tmp_path / "m.onnx", threads=1).run({"x": data})["y"], right, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_graph_that_would_grow_is_not_optimised_ahead(tmp_path: Path) -> None:
    source = source_of(mlp(64, 256, 64), torch.zeros(1, 64))
    family = family_of(source, tmp_path, Weights)
    family.write(family.units, tmp_path / "int8.onnx")
    before = (tmp_path / "int8.onnx").read_bytes()
    assert not optimise_ahead(tmp_path / "int8.onnx", threads=1)
    assert (tmp_path / "int8.onnx").read_bytes() == before
