"""Candidate variants: made, opened as they will be served, measured, and sorted into good and bad."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.errors import GateError
from export.judge import Judge
from export.measure import MAX_SLOWDOWN
from export.quantize import NEEDS_CALIBRATION, write_variant
from handlers.errors import LambdaserveError
from handlers.registry.manifest import Gate
from handlers.runtime.goldens import Golden, replay
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["FP32", "Candidate", "choose", "make_candidate", "why_not"]

FP32 = "fp32"

_LEAST_TOLERANCE = 1e-4  # of the goldens, relative to the size of the answer: fp32 kernels differ by CPU
_SAFETY = 2.0  # times what was measured: room for rounding on other CPUs; reasoned, not measured


@dataclass(frozen=True)
class Candidate:
    """A variant that could be made, opened and run."""

    name: str
    path: Path
    session: Session
    gate: Gate
    golden_tolerance: dict[str, float]

    @property
    def size_bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in (self.path, self.data_path) if path.exists())

    @property
    def data_path(self) -> Path:
        """Where its weights are if they are too many for one file."""
        return self.path.with_name(f"{self.path.name}.data")


def make_candidate(  # noqa: PLR0913, PLR0917 - each is something else
    name: str,
    fp32: Path,
    calibration: Sequence[Arrays],
    judge: Judge,
    goldens: tuple[Sequence[Golden], int],
    threads: int,
) -> Candidate:
    """Write the variant `name` beside `fp32`, open it as it will be served, and measure it.

    Raises:
        GateError: It cannot be made, opened or run; the message says why.
    """
    path = fp32.with_name(f"{name}.onnx")
    if name in NEEDS_CALIBRATION and not calibration:
        msg = "no calibration data"
        raise GateError(msg)
    if name != FP32:
        try:
            write_variant(name, fp32, path, calibration)
        except OSError:
            raise  # no space on disk is no fault of the variant's
        except Exception as error:  # the quantiser raises whatever it trips over
            msg = f"cannot be quantised: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise GateError(msg) from error
    try:
        session = Session(path, threads=threads)
        gate = judge.judge(session.run)
        deviations = replay(session, *goldens)
    except LambdaserveError as error:
        msg = f"cannot be run: {error}"
        raise GateError(msg) from error
    tolerances = _tolerances(deviations, goldens[0])
    if not all(math.isfinite(tolerance) for tolerance in tolerances.values()):
        msg = f"answers the goldens with {deviations}, expected differences that are numbers"
        raise GateError(msg)
    return Candidate(name, path, session, gate, tolerances)


def _tolerances(deviations: Mapping[str, float], goldens: Sequence[Golden]) -> dict[str, float]:
    """Return, by output, how far an answer may be from its golden on any machine."""
    tolerances = {}
    for name, found in deviations.items():
        numbers = [expected[name] for _, expected in goldens if expected[name].dtype.kind == "f"]
        scale = max((float(abs(values).max(initial=0.0)) for values in numbers), default=0.0)
        tolerances[name] = max(_SAFETY * found, _LEAST_TOLERANCE * max(1.0, scale)) if numbers else _SAFETY * found
    return tolerances


def why_not(candidate: Candidate, fp32: Candidate, latencies_ms: Mapping[str, float]) -> str | None:
    """Return why a candidate must not be served in place of fp32; None if it may."""
    gate = candidate.gate
    if not gate.passed:
        return f"loses {gate.loss:.2%} of {gate.metric}, allowed {gate.allowed:.2%}"
    slowdown = latencies_ms[candidate.name] / latencies_ms[FP32]
    if slowdown > MAX_SLOWDOWN:
        return f"takes {slowdown:.2f} times as long as fp32, allowed {MAX_SLOWDOWN:.2f}"
    if candidate.size_bytes >= fp32.size_bytes:
        return "is no smaller than fp32"
    return None


def choose(fp32: Candidate, others: Sequence[Candidate], latencies_ms: Mapping[str, float]) -> list[Candidate]:
    """Return the candidates to package, the chosen one first: those that may be served by size, then fp32."""
    fit = [candidate for candidate in others if why_not(candidate, fp32, latencies_ms) is None]
    return [*sorted(fit, key=lambda candidate: candidate.size_bytes), fp32]
