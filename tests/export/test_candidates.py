"""The choice among candidates: smallest first, and only what passes the gate, is not slower and is smaller."""

from pathlib import Path
from typing import cast

import pytest

from export.candidates import Candidate, choose, make_candidate, why_not
from export.errors import GateError
from export.judge import Judge
from export.measure import MAX_SLOWDOWN
from export.reference import Reference
from export.samples import sort_samples
from handlers.registry.manifest import Gate
from handlers.runtime.session import Session
from tests.export.conftest import Built

FP32_MS = 10.0


def candidate(folder: Path, name: str, size: int, *, loss: float = 0.0) -> Candidate:
    """Return a candidate whose file has that size and that is never run."""
    path = folder / f"{name}.onnx"
    path.write_bytes(bytes(size))
    gate = Gate("accuracy", 0.9, 0.9 * (1 - loss), loss, 0.01, passed=loss <= 0.01, samples=100, held_out=True)
    return Candidate(name, path, cast("Session", None), gate, {})


def chosen(folder: Path, *others: Candidate, **latencies_ms: float) -> list[str]:
    fp32 = candidate(folder, "fp32", 400)
    times = {other.name: latencies_ms.get(other.name, FP32_MS) for other in others} | {"fp32": FP32_MS}
    return [packaged.name for packaged in choose(fp32, others, times)]


def test_smallest_that_passes_comes_first_and_fp32_last(tmp_path: Path) -> None:
    others = [candidate(tmp_path, "b", 200), candidate(tmp_path, "a", 300), candidate(tmp_path, "c", 100)]
    assert chosen(tmp_path, *others) == ["c", "b", "a", "fp32"]


def test_failing_gate_rejects_however_small_and_fast(tmp_path: Path) -> None:
    others = [candidate(tmp_path, "a", 1, loss=0.011), candidate(tmp_path, "b", 300, loss=0.01)]
    assert chosen(tmp_path, *others, a=0.1) == ["b", "fp32"]


def test_slower_is_rejected_and_ten_percent_is_not_slower(tmp_path: Path) -> None:
    others = [candidate(tmp_path, "a", 100), candidate(tmp_path, "b", 200)]
    assert chosen(tmp_path, *others, a=FP32_MS * MAX_SLOWDOWN + 0.1, b=FP32_MS * MAX_SLOWDOWN) == ["b", "fp32"]


@pytest.mark.parametrize("size", [400, 401])
def test_no_smaller_is_rejected_however_fast(tmp_path: Path, size: int) -> None:
    assert chosen(tmp_path, candidate(tmp_path, "a", size), a=0.1) == ["fp32"]


def test_fp32_wins_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert chosen(tmp_path) == ["fp32"]


@pytest.mark.parametrize(
    ("size", "loss", "latency_ms", "why"),
    [
        (100, 0.25, 20, "loses 25.00% of accuracy, allowed 1.00%"),
        (100, 0.0, 20, "takes 2.00 times as long as fp32, allowed 1.10"),
        (400, 0.0, 5, "is no smaller than fp32"),
        (100, 0.0, 5, None),
    ],
)
def test_reason_is_given_with_what_was_found_and_what_is_allowed(
    tmp_path: Path, size: int, loss: float, latency_ms: float, why: str | None
) -> None:
    fp32, other = candidate(tmp_path, "fp32", 400), candidate(tmp_path, "a", size, loss=loss)
    assert why_not(other, fp32, {"fp32": FP32_MS, "a": latency_ms}) == why


@pytest.mark.parametrize(
    ("name", "message"),
    [("int8-static", "no calibration data"), ("int8-dynamic", "cannot be quantised: .*")],
)
def test_candidate_that_cannot_be_made_is_refused_with_the_reason(
    name: str, message: str, small: Built, tmp_path: Path
) -> None:
    samples = sort_samples(small.source, Reference(small.source))
    (tmp_path / "fp32.onnx").write_bytes(b"no model")
    with pytest.raises(GateError, match=message):
        make_candidate(name, tmp_path / "fp32.onnx", [], Judge(samples.held_out, None, 0.01), ([], 1), threads=1)
