"""The search finds what is harmed by int8, wherever it is, and leaves no more than that in float."""

import math
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.build import VARIANTS, BuildOptions, build
from export.quantize.families import Dynamic, Family, Static, Weights
from export.quantize.graph import Prepared, prepare
from export.quantize.ranges import find_ranges
from export.reference import Reference
from export.report import Report, Trial
from export.search import Budget, ErrorMeter, Part, count_to_leave_out, find_parts, most_harmful_first
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from tests.export.planted import LAYERS, planted
from tests.export.sources import converted, silent

PLACES = [np.random.default_rng(seed).choice(np.arange(1, LAYERS), 2, replace=False).tolist() for seed in range(3)]


def layers_of(trial: Trial) -> set[int]:
    """Return which layers a trial left in float: the exporter calls them linear, linear_1 and so on."""
    names = [node.node.removeprefix("node_linear").removesuffix("_MatMul") for node in trial.float_nodes]
    return {int(name.removeprefix("_") or 0) for name in names}


def built(folder: Path, **harm: object) -> dict[str, Trial]:
    source = planted(**harm)  # type: ignore[arg-type] # of the cases below
    options = BuildOptions(VARIANTS, max_loss=0.01, threads=1, prefer="size", search_s=60)
    report: Report = build(source, folder / "artifact", options, silent())
    return {trial.name: trial for trial in report.trials}


@pytest.mark.parametrize("places", PLACES)
def test_layers_whose_input_int8_cannot_hold_are_found_and_no_others(places: list[int], tmp_path: Path) -> None:
    trials = built(tmp_path, activations=places, seed=sum(places))
    assert trials["int8-dynamic"].why.startswith("loses ")
    assert trials["int8-static"].why.startswith("loses ")
    mixed = trials["int8-mixed"]
    assert mixed.gate is not None
    assert mixed.gate.passed
    assert layers_of(mixed) >= set(places)
    if "as it runs" in mixed.how:  # with calibrated ranges, the sums that make those inputs are harmful too
        assert layers_of(mixed) == set(places)
    assert {node.stored for node in mixed.float_nodes if node.operator != "Add"} <= {"int8", "none"}
    assert trials["int8-weights"].gate is not None
    assert trials["int8-weights"].gate.passed  # it computes in float


@pytest.mark.parametrize("places", PLACES)
def test_weights_that_int8_cannot_hold_are_found_and_kept_in_fp16(places: list[int], tmp_path: Path) -> None:
    trials = built(tmp_path, weights=places, seed=sum(places))
    assert trials["int8-weights"].why.startswith("loses ")
    mixed = trials["mixed-weights"]
    assert mixed.gate is not None
    assert mixed.gate.passed
    assert layers_of(mixed) == set(places)
    assert {node.stored for node in mixed.float_nodes} == {"fp16"}
    assert all(node.error is not None and node.group == 1 for node in mixed.float_nodes)
    fp32 = trials["fp32"].size_bytes or 0
    assert (mixed.size_bytes or fp32) < 0.4 * fp32


def test_network_without_harm_is_left_whole(tmp_path: Path) -> None:
    trials = built(tmp_path)
    assert trials["int8-mixed"].verdict == trials["mixed-weights"].verdict == "skipped"


# of the search itself, on one network


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, list[tuple[Arrays, Arrays]], Path]:
    """A network with two harmful layers, 3 and 8, and what steers."""
    folder = tmp_path_factory.mktemp("harmed")
    source = planted(weights=[3, 8])
    converted(source, folder / "fp32.onnx")
    reference = Reference(source)
    assert source.calibration is not None
    steering = [(batch, reference.run(batch)) for batch in source.calibration]
    return prepare(folder / "fp32.onnx", fuse=False), steering, folder


def meter_of(harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path], seconds: float = 60) -> ErrorMeter:
    return ErrorMeter(harmed[1], harmed[2], 1, Budget(seconds))


def harmful(family: Family) -> set[str]:
    return {unit for unit in family.units if family.node(unit) in {"node_linear_3", "node_linear_8"}}


def test_errors_add_up(tmp_path: Path) -> None:
    source = planted()
    converted(source, tmp_path / "fp32.onnx")
    assert source.calibration is not None
    steering = [(batch, Reference(source).run(batch)) for batch in source.calibration]
    family, meter = Weights(prepare(tmp_path / "fp32.onnx", fuse=False)), ErrorMeter(steering, tmp_path, 1, Budget(60))
    parts = find_parts(family, meter, 0)
    assert all(len(part.units) == 1 for part in parts)
    whole = meter.measure(lambda path: family.write(family.units, path))
    assert sum(part.error for part in parts) == pytest.approx(whole, rel=0.5)


def test_few_harmful_units_are_told_apart_in_few_measurements(
    harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path],
) -> None:
    family, meter = Weights(harmed[0]), meter_of(harmed)
    parts = find_parts(family, meter, 0.01)
    alone = {part.units[0] for part in parts if len(part.units) == 1 and part.error > 0.01}
    assert alone == harmful(family)
    assert meter.budget.measurements < 2 * len(family.units) - 1  # which is what it takes to tell all apart


def test_without_time_everything_is_one_part(harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path]) -> None:
    family, meter = Weights(harmed[0]), meter_of(harmed, seconds=0)
    [part] = find_parts(family, meter, 0)
    assert part.units == tuple(family.units)
    assert count_to_leave_out(family, [part], meter, 1e-3) == 1
    assert meter.budget.measurements == 1


def test_fewest_are_left_out_the_most_harmful_first(harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path]) -> None:
    family, meter = Weights(harmed[0]), meter_of(harmed)
    parts = find_parts(family, meter, 0)
    order = most_harmful_first(family, parts)
    count = count_to_leave_out(family, order, meter, 1e-3)
    assert {unit for part in order[:count] for unit in part.units} == harmful(family)
    assert count_to_leave_out(family, order, meter, 10.0) == 0


def test_what_cannot_be_made_costs_everything(harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path]) -> None:
    def broken(path: Path) -> None:
        path.write_bytes(b"no model")

    meter = meter_of(harmed)
    assert meter.measure(broken) == math.inf
    assert meter.budget.measurements == 1


def test_full_disk_is_no_fault_of_the_model(harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path]) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        meter_of(harmed).measure(full)


def test_time_counts_by_the_clock_and_only_while_a_search_runs() -> None:
    told: list[int] = []
    budget = Budget(0.05, told.append)
    assert budget.left
    time.sleep(0.06)
    assert budget.left
    with budget.running():
        time.sleep(0.06)
        assert not budget.left
    taken_s = budget.taken_s
    assert taken_s >= 0.06
    time.sleep(0.01)
    assert budget.taken_s == taken_s
    with budget.running():
        assert budget.taken_s >= taken_s
    assert sum(told) == 0  # whole seconds


def test_progress_is_told_of_no_more_than_there_is() -> None:
    told: list[int] = []
    budget = Budget(1, told.append)
    with budget.running():
        while budget.left:
            time.sleep(0.05)
        time.sleep(1)
        assert not budget.left
    assert sum(told) == 1


@pytest.mark.parametrize("method", ["min-max", "percentile", "entropy"])
def test_each_way_to_calibrate_makes_ranges_that_answer(
    method: str, harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path], tmp_path: Path
) -> None:
    source = planted()
    converted(source, tmp_path / "fp32.onnx")
    prepared = prepare(tmp_path / "fp32.onnx", fuse=False)
    batches = [inputs for inputs, _ in harmed[1]]
    family = Static(prepared, find_ranges(prepared.model, method, batches, tmp_path), method)
    family.write(family.units, tmp_path / "int8.onnx")
    right = Session(tmp_path / "fp32.onnx", threads=1).run(batches[0])["y"]
    found = Session(tmp_path / "int8.onnx", threads=1).run(batches[0])["y"]
    assert np.linalg.norm(found - right) < 0.2 * np.linalg.norm(right)
    assert method in family.described(0)


def test_parts_that_are_left_out_are_computed_in_float(
    harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path], tmp_path: Path
) -> None:
    family = Dynamic(harmed[0])
    family.write(family.units[2:], tmp_path / "mixed.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "mixed.onnx").graph.node]
    assert operators.count("MatMulInteger") == LAYERS - 2
    assert operators.count("MatMul") == 2
    assert family.stored(family.units[0]) == "int8"


def test_dear_parts_stay_where_cheap_ones_do_as_well(
    harmed: tuple[Prepared, list[tuple[Arrays, Arrays]], Path],
) -> None:
    class Priced(Weights):
        def price(self, unit: str) -> float:
            return 1.0 if unit == self.units[0] else 100.0

    family = Priced(harmed[0])
    parts = [Part((family.units[0],), 0.5), Part((family.units[1],), 1.0)]
    meter = meter_of(harmed, seconds=0)  # by adding up
    assert most_harmful_first(family, parts) == parts
    assert count_to_leave_out(family, parts, meter, 1.0) == 1
