"""Mends a family of variants that misses the gate: leaves in float what costs most, until it passes."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from export.candidates import FP32, Bench, Candidate
from export.errors import GateError
from export.figures import format_ms
from export.quantize.ahead import optimise_ahead
from export.quantize.families import Family
from export.report import FloatNode
from export.search import ErrorMeter, Part, count_to_leave_out, find_parts, most_harmful_first

__all__ = ["mend", "write_measured"]

_ENOUGH = 0.02  # of a family's error, in parts that were not told apart
_STEP = 0.4  # errors aimed at, each this part of the one before
_QUICK_S = 0.3
_TRIMS = 3  # looks at what judges that may be spent on leaving less in float


def write_measured(  # noqa: PLR0913, PLR0917 - each is something else
    family: Family,
    name: str,
    units: Collection[str],
    path: Path,
    how: str,
    bench: Bench,
    float_nodes: Sequence[FloatNode] = (),
) -> Candidate:
    """Write the variant in which `units` are quantised to `path`, and measure it.

    Raises:
        GateError: It cannot be opened or run.
        Exception: Whatever the quantiser raises where it cannot be made.
    """
    family.write(units, path)
    if family.computes_integers and optimise_ahead(path, bench.threads):
        how += "; optimised ahead of time"
    return bench.measured(name, path, how, float_nodes)


def mend(  # noqa: PLR0913, PLR0917 - private to the step that it is part of
    family: Family, path: Path, fused: str, bench: Bench, meter: ErrorMeter, limit_ms: float
) -> tuple[Candidate, frozenset[str]]:
    """Return a variant of a family that passes the gate with as little as possible in float, and what that is.

    Args:
        family: Missed the gate as a whole.
        path: Where the variant is written.
        fused: What was fused, for the description.
        bench: Measures and judges.
        meter: Says what costs how much, on inputs that do not judge.
        limit_ms: A family that computes in integers is given up once it misses the gate and takes longer than this.

    Raises:
        GateError: It was given up; the message says why.
    """
    return _Mending(family, path, fused, bench, meter).run(limit_ms)


class _Mending:
    """One family on its way through the gate: what the steps share."""

    def __init__(self, family: Family, path: Path, fused: str, bench: Bench, meter: ErrorMeter) -> None:
        self._family = family
        self._path = path
        self._fused = fused
        self._bench = bench
        self._meter = meter
        self._order: list[Part] = []

    def run(self, limit_ms: float) -> tuple[Candidate, frozenset[str]]:
        family, meter = self._family, self._meter
        whole = meter.measure(lambda file: family.write(family.units, file))
        target = whole if math.isfinite(whole) else 1.0
        self._order = most_harmful_first(family, find_parts(family, meter, _ENOUGH * target))
        # all of it left out is another family: nothing is computed in integers any more
        most = len(self._order) - family.computes_integers
        failed, missed_by = 0, "misses the gate"
        while failed < most:
            target *= _STEP
            # more than what has failed, by half: the error that is aimed at may have been reached and not be enough
            more = failed + 1 + failed // 2
            count = min(most, max(more, count_to_leave_out(family, self._order, meter, target)))
            try:
                candidate = self._written(count)
            except GateError as error:
                failed, missed_by = count, str(error)
                continue
            if candidate.gate.passed:
                return self._trimmed(candidate, failed, count)
            failed, missed_by = count, f"loses {candidate.gate.loss:.2%} of {candidate.gate.metric}"
            takes_ms = self._bench.latencies_ms({FP32: candidate.session}, _QUICK_S)[FP32]
            if family.computes_integers and takes_ms > limit_ms:
                missed_by += f" and takes {format_ms(takes_ms)}, no less than what passes"
                break
        self._path.unlink(missing_ok=True)
        msg = f"{family.name} with {len(self._left_out(failed))} of {len(family.units)} left in float still {missed_by}"
        raise GateError(msg)

    def _trimmed(self, passed: Candidate, failed: int, count: int) -> tuple[Candidate, frozenset[str]]:
        """Return what passes with less left out, between what has failed and what has passed, by bisection."""
        written = count
        for _ in range(_TRIMS):
            if count - failed <= 1 or not self._meter.budget.left:
                break
            middle = written = (failed + count) // 2
            try:
                candidate = self._written(middle)
            except GateError:
                failed = middle
                continue
            if candidate.gate.passed:
                passed, count = candidate, middle
            else:
                failed = middle
        if written != count:  # the last one tried lies where the best one was
            passed = self._written(count)
        return passed, self._left_out(count)

    def _written(self, count: int) -> Candidate:
        left_out = self._left_out(count)
        kept = [unit for unit in self._family.units if unit not in left_out]
        how = f"{self._family.described(len(left_out))}{self._fused}"
        nodes = self._float_nodes(self._order[:count])
        return write_measured(self._family, self._family.mixed_name, kept, self._path, how, self._bench, nodes)

    def _left_out(self, count: int) -> frozenset[str]:
        return frozenset(unit for part in self._order[:count] for unit in part.units)

    def _float_nodes(self, parts: Sequence[Part]) -> list[FloatNode]:
        nodes = [
            FloatNode(
                node=self._family.node(unit),
                operator=self._family.operator(unit),
                error=part.error if math.isfinite(part.error) else None,
                group=len(part.units),
                stored=self._family.stored(unit),
            )
            for part in parts
            for unit in part.units
        ]
        return sorted(nodes, key=lambda node: math.inf if node.error is None else node.error, reverse=True)
