"""Candidate variants: opened as they will be served, measured, and sorted into good and bad."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from export.errors import GateError
from export.judge import Judge
from export.measure import MAX_SLOWDOWN, interleaved_medians_ms
from export.metrics import output_errors
from export.report import Confusion, FloatNode, OutputError, Preference
from export.weights_file import weights_path
from handlers.errors import LambdaserveError
from handlers.registry.manifest import Gate
from handlers.runtime.goldens import Golden, replay
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["FP32", "Bench", "Candidate", "choose", "size_bytes", "why_not"]

FP32 = "fp32"
WEIGHTS_ONLY = frozenset({"int8-weights", "mixed-weights"})
"""Variants that compute in float: smaller, and meant to be as fast as fp32."""

_LEAST_TOLERANCE = 1e-4  # of the goldens, relative to the size of the answer: fp32 kernels differ by CPU
_SAFETY = 2.0  # times what was measured: room for rounding on other CPUs; reasoned, not measured
_SAME_SIZE, _SAME_LATENCY = 1.02, 1.05  # factors within which two variants count as equal


@dataclass(frozen=True)
class Candidate:
    """A variant that could be made, opened and run; `confusion` is None where what judges has no classes."""

    name: str
    path: Path
    session: Session
    gate: Gate
    golden_tolerance: dict[str, float]
    errors: list[OutputError]
    confusion: Confusion | None = None
    how: str = ""
    float_nodes: tuple[FloatNode, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of its files."""
        return size_bytes(self.path)


def size_bytes(path: Path) -> int:
    """Return the size of a model's file, and of the one with its weights if there is one."""
    return sum(file.stat().st_size for file in (path, weights_path(path)) if file.exists())


@dataclass
class Bench:
    """What every candidate is measured with; `judgements` counts how many variants have been judged."""

    judge: Judge
    goldens: Sequence[Golden]
    output_stride: int
    example: Arrays
    threads: int
    judgements: int = 0

    def measured(self, name: str, path: Path, how: str = "", float_nodes: Sequence[FloatNode] = ()) -> Candidate:
        """Return the variant in `path`, opened as it will be served and measured.

        Raises:
            GateError: It cannot be opened or run; the message says why.
        """
        self.judgements += name != FP32
        try:
            session = Session(path, threads=self.threads)
            answers = self.judge.answers(session.run)
            deviations = replay(session, self.goldens, self.output_stride)
        except LambdaserveError as error:
            msg = f"cannot be run: {error}"
            raise GateError(msg) from error
        gate = self.judge.verdict(answers)
        if not (math.isfinite(gate.score) and math.isfinite(gate.loss)):
            msg = f"has {gate.metric} {gate.score}, expected a number"
            raise GateError(msg)
        tolerances = _tolerances(deviations, self.goldens)
        if not all(math.isfinite(tolerance) for tolerance in tolerances.values()):
            msg = f"answers the goldens with {deviations}, expected differences that are numbers"
            raise GateError(msg)
        return Candidate(
            name=name,
            path=path,
            session=session,
            gate=gate,
            golden_tolerance=tolerances,
            errors=output_errors(answers, self.judge.reference),
            confusion=self.judge.confusion(answers),
            how=how,
            float_nodes=tuple(float_nodes),
        )

    def latencies_ms(self, sessions: Mapping[str, Session], budget_s: float = 2.0) -> dict[str, float]:
        """Return the median time of a run on the example inputs, by name, of runs that take turns."""
        runs = {name: partial(session.run, self.example) for name, session in sessions.items()}
        return interleaved_medians_ms(runs, budget_s=budget_s)


def _tolerances(deviations: Mapping[str, float], goldens: Sequence[Golden]) -> dict[str, float]:
    """Return, by output, how far an answer may be from its golden on any machine."""
    tolerances = {}
    for name, found in deviations.items():
        numbers = [expected[name] for _, expected in goldens if expected[name].dtype.kind == "f"]
        scale = max((float(abs(values).max(initial=0.0)) for values in numbers), default=0.0)
        tolerances[name] = max(_SAFETY * found, _LEAST_TOLERANCE * max(1.0, scale)) if numbers else _SAFETY * found
    return tolerances


def why_not(
    candidate: Candidate, fp32: Candidate, latencies_ms: Mapping[str, float], prefer: Preference = "balanced"
) -> str | None:
    """Return why a candidate must not be served in place of fp32; None if it may.

    One that computes in float may be slower where size is what counts: nothing smaller may be had on this model.
    """
    gate = candidate.gate
    if not gate.passed:
        return f"loses {gate.loss:.2%} of {gate.metric}, allowed {gate.allowed:.2%}"
    slowdown = latencies_ms[candidate.name] / latencies_ms[FP32]
    exempt = prefer == "size" and candidate.name in WEIGHTS_ONLY
    if slowdown > MAX_SLOWDOWN and not exempt:
        return f"takes {slowdown:.2f} times as long as fp32, allowed {MAX_SLOWDOWN:.2f}"
    if candidate.size_bytes >= fp32.size_bytes:
        return "is no smaller than fp32"
    return None


def choose(
    fp32: Candidate, others: Sequence[Candidate], latencies_ms: Mapping[str, float], prefer: Preference = "balanced"
) -> list[Candidate]:
    """Return the candidates to package, best first and fp32 last.

    `size` takes the smallest, `latency` the fastest, and of equals (2 % in size, 5 % in time: what noise makes) the one
    that is better in the other; `balanced` takes the smallest product of both.
    """
    fit = [candidate for candidate in others if why_not(candidate, fp32, latencies_ms, prefer) is None]

    def product(candidate: Candidate) -> float:
        return candidate.size_bytes * latencies_ms[candidate.name]

    order = sorted(fit, key=product)
    if fit and prefer != "balanced":
        measures = {c.name: float(c.size_bytes) if prefer == "size" else latencies_ms[c.name] for c in fit}
        equal = min(measures.values()) * (_SAME_SIZE if prefer == "size" else _SAME_LATENCY)
        # those as good as the best come first, in the order of the product: the better ones in the other measure
        order.sort(key=lambda c: (measures[c.name] > equal, measures[c.name] if measures[c.name] > equal else 0.0))
    return [*order, fp32]
