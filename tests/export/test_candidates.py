"""The choice among candidates: only what passes the gate, is smaller and not slower; of these, what is preferred."""

from pathlib import Path
from typing import cast

import pytest

from export.candidates import Bench, Candidate, choose, why_not
from export.errors import GateError
from export.judge import HeldOut, Judge
from export.measure import MAX_SLOWDOWN
from export.report import Preference
from handlers.registry.manifest import Gate
from handlers.runtime.session import Session
from tests.export.conftest import Built

FP32_MS = 10.0


def candidate(folder: Path, name: str, size: int, *, loss: float = 0.0) -> Candidate:
    """Return a candidate whose file has that size and that is never run."""
    path = folder / f"{name}.onnx"
    path.write_bytes(bytes(size))
    gate = Gate("accuracy", 0.9, 0.9 * (1 - loss), loss, 0.01, passed=loss <= 0.01, samples=100, held_out=True)
    return Candidate(name, path, cast("Session", None), gate, {}, [])


def chosen(
    folder: Path, *others: Candidate, prefer: Preference = "balanced", times_ms: dict[str, float] | None = None
) -> list[str]:
    fp32 = candidate(folder, "fp32", 400)
    times = {other.name: FP32_MS for other in others} | {"fp32": FP32_MS} | (times_ms or {})
    return [packaged.name for packaged in choose(fp32, others, times, prefer)]


def three(folder: Path) -> list[Candidate]:
    return [candidate(folder, "fast", 200), candidate(folder, "small", 100), candidate(folder, "even", 120)]


TIMES_MS = {"fast": 4.0, "small": 10.0, "even": 5.0}


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        ("size", ["small", "even", "fast", "fp32"]),
        ("latency", ["fast", "even", "small", "fp32"]),
        ("balanced", ["even", "fast", "small", "fp32"]),
    ],
)
def test_what_is_preferred_comes_first_and_fp32_last(tmp_path: Path, prefer: Preference, order: list[str]) -> None:
    assert chosen(tmp_path, *three(tmp_path), prefer=prefer, times_ms=TIMES_MS) == order


@pytest.mark.parametrize(("prefer", "best"), [("size", "slim"), ("latency", "slim")])
def test_of_equals_the_one_that_is_better_otherwise_comes_first(tmp_path: Path, prefer: Preference, best: str) -> None:
    if prefer == "size":  # as small, but for 1 %, and twice as fast
        others, times = [candidate(tmp_path, "slim", 101), candidate(tmp_path, "other", 100)], {"slim": 5.0}
    else:  # as fast, but for 4 %, and half the size
        others = [candidate(tmp_path, "slim", 100), candidate(tmp_path, "other", 200)]
        times = {"slim": 5.2, "other": 5.0}
    assert chosen(tmp_path, *others, prefer=prefer, times_ms=times)[0] == best


def test_failing_gate_rejects_however_small_and_fast(tmp_path: Path) -> None:
    others = [candidate(tmp_path, "a", 1, loss=0.011), candidate(tmp_path, "b", 300, loss=0.01)]
    assert chosen(tmp_path, *others, times_ms={"a": 0.1}) == ["b", "fp32"]


def test_slower_is_rejected_and_ten_percent_is_not_slower(tmp_path: Path) -> None:
    others = [candidate(tmp_path, "a", 100), candidate(tmp_path, "b", 200)]
    times = {"a": FP32_MS * MAX_SLOWDOWN + 0.1, "b": FP32_MS * MAX_SLOWDOWN}
    assert chosen(tmp_path, *others, times_ms=times) == ["b", "fp32"]


@pytest.mark.parametrize("name", ["int8-weights", "mixed-weights"])
def test_what_computes_in_float_may_be_slower_only_where_size_counts(tmp_path: Path, name: str) -> None:
    times = {name: 2 * FP32_MS}
    assert chosen(tmp_path, candidate(tmp_path, name, 100), prefer="size", times_ms=times) == [name, "fp32"]
    assert chosen(tmp_path, candidate(tmp_path, name, 100), prefer="balanced", times_ms=times) == ["fp32"]
    integers = {"int8-static": 2 * FP32_MS}
    assert chosen(tmp_path, candidate(tmp_path, "int8-static", 100), prefer="size", times_ms=integers) == ["fp32"]


@pytest.mark.parametrize("size", [400, 401])
def test_no_smaller_is_rejected_however_fast(tmp_path: Path, size: int) -> None:
    assert chosen(tmp_path, candidate(tmp_path, "a", size), times_ms={"a": 0.1}) == ["fp32"]


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


def test_candidate_that_cannot_be_opened_is_refused_with_the_reason(small: Built, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    example = {name: value.numpy() for name, value in small.source.inputs.items()}
    right = {"y": Session(small.folder / "fp32.onnx", threads=1).run(example)["y"]}
    bench = Bench(Judge(HeldOut([example], [right], None, held_out=True), None, 0.01), [], 1, example, threads=1)
    with pytest.raises(GateError, match=r"cannot be run: broken\.onnx: onnxruntime .* cannot open it"):
        bench.measured("broken", tmp_path / "broken.onnx")
    assert bench.judgements == 1
