"""Mends a family of variants that misses the gate: leaves in float what costs most, until it passes."""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from export.candidates import FP32, Bench, Candidate
from export.errors import GateError
from export.quantize.ahead import optimise_ahead
from export.quantize.families import Family
from export.report import FloatNode
from export.search import ErrorMeter, Part, find_parts, leave_out
from handlers.runtime.session import Session

__all__ = ["mend", "write_measured"]

_ENOUGH = 0.02  # of a family's error, in parts that were not told apart
_STEP, _STEPS = 0.4, 7  # errors aimed at, each this part of the one before: from all in int8 to next to none


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
    """Return the first variant of a family that passes the gate as more and more is left in float, and what is.

    The last one tried is returned where none passes.

    Args:
        family: Missed the gate as a whole.
        path: Where the variant is written.
        fused: What was fused, for the description.
        bench: Measures and judges.
        meter: Says what costs how much, on inputs that do not judge.
        limit_ms: A family that computes in integers is given up once it takes longer than this.

    Raises:
        GateError: It was given up.
    """
    whole = meter.measure(lambda file: family.write(family.units, file))
    start = whole if math.isfinite(whole) else 1.0
    parts = find_parts(family, meter, _ENOUGH * start)
    candidate: Candidate | None = None
    left_out: frozenset[str] = frozenset()
    for step in range(1, _STEPS + 1):
        parts_left = leave_out(family, parts, meter, start * _STEP**step)
        units = frozenset(unit for part in parts_left for unit in part.units)
        if candidate is not None and units == left_out:
            continue
        left_out = units
        kept = [unit for unit in family.units if unit not in left_out]
        if not kept and family.computes_integers:
            break
        how = f"{family.described(len(left_out))}{fused}"
        candidate = write_measured(family, family.mixed_name, kept, path, how, bench, _float_nodes(family, parts_left))
        if candidate.gate.passed:
            return candidate, left_out
        if family.computes_integers and _takes(candidate.session, bench) > limit_ms:
            break
    if candidate is None or family.computes_integers:
        loss = "" if candidate is None else f", and still loses {candidate.gate.loss:.2%} of {candidate.gate.metric}"
        left = f"{len(left_out)} of {len(family.units)}"
        msg = f"{family.name} with {left} nodes in float is no faster than what passes{loss}"
        path.unlink(missing_ok=True)
        raise GateError(msg)
    return candidate, left_out


def _takes(session: Session, bench: Bench) -> float:
    return bench.latencies_ms({FP32: session}, 0.3)[FP32]


def _float_nodes(family: Family, parts: Sequence[Part]) -> list[FloatNode]:
    nodes = [
        FloatNode(
            node=family.node(unit),
            operator=family.operator(unit),
            error=part.error if math.isfinite(part.error) else None,
            group=len(part.units),
            stored=family.stored(unit),
        )
        for part in parts
        for unit in part.units
    ]
    return sorted(nodes, key=lambda node: math.inf if node.error is None else node.error, reverse=True)
