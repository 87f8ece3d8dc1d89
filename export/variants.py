"""Which variants are tried, in which order, and how those that miss the gate are mended."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from export.candidates import FP32, Bench, Candidate
from export.errors import GateError, in_one_line
from export.mending import mend, write_measured
from export.preparation import prepare_best
from export.progress import Progress
from export.quantize.families import Dynamic, Family, Static, Weights
from export.quantize.graph import Prepared
from export.quantize.ranges import METHODS, find_ranges
from export.search import ErrorMeter
from handlers.tasks.arrays import Arrays

__all__ = ["VARIANTS", "Variants", "try_variants"]

T = TypeVar("T")

VARIANTS = ("int8-weights", "int8-dynamic", "int8-static", "int8-mixed", "mixed-weights")
"""What is tried beside fp32, which always is."""

_WORTH = 0.95  # of the time of the fastest that passes: what cannot be faster than that need not be mended
_QUICK_S = 0.5  # for times that decide what to try next, and are measured again before anything is chosen


@dataclass
class Variants:
    """What came of the attempts: candidates that could be measured, why others could not be, and why some need not."""

    candidates: list[Candidate] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def wanted(self, names: Collection[str]) -> "Variants":
        """Return what concerns these names: each once, the best that came of it."""
        made = [candidate for candidate in self.candidates if candidate.name in names]
        left = set(names) - {candidate.name for candidate in made}
        problems = {name: why for name, why in self.problems.items() if name in left}
        skipped = {name: why for name, why in self.skipped.items() if name in left - set(problems)}
        return Variants(made, problems, skipped)


def try_variants(  # noqa: PLR0913, PLR0917 - each is something else
    wanted: Collection[str],
    fp32: Candidate,
    calibration: Sequence[Arrays],
    bench: Bench,
    meter: ErrorMeter,
    progress: Progress,
    *,
    steered: bool = True,
) -> Variants:
    """Make the variants that are wanted, beside the file of `fp32`, and measure them.

    First each family whole: weights alone, products with ranges taken as they run, all with calibrated ranges. If one
    misses the gate, and could be faster than those that pass, it is mended: what costs most is left in float, until it
    passes. `meter` steers, with inputs that do not judge; the gate has the last word. Where there is nothing to steer
    with, nothing is mended.
    """
    if not wanted:
        return Variants()
    return _Attempts(fp32, calibration, bench, meter, progress).run(frozenset(wanted), steered=steered).wanted(wanted)


class _Attempts:
    def __init__(
        self, fp32: Candidate, calibration: Sequence[Arrays], bench: Bench, meter: ErrorMeter, progress: Progress
    ) -> None:
        self._fp32 = fp32
        self._folder = fp32.path.parent
        self._calibration = calibration
        self._bench = bench
        self._meter = meter
        self._progress = progress
        self._done = Variants()
        self._fused = ""

    def run(self, wanted: frozenset[str], *, steered: bool) -> Variants:
        mixed = wanted & {"int8-mixed", "mixed-weights"}
        with self._progress.step("Preparing the graph"):
            found = self._attempt(VARIANTS, lambda: prepare_best(self._fp32.path, self._bench, self._meter))
        if found is None:
            return self._done
        prepared, self._fused = found
        makers: dict[str, Callable[[], Family]] = {
            "int8-weights": partial(Weights, prepared),
            "int8-dynamic": partial(Dynamic, prepared),
            "int8-static": partial(self._static, prepared),
        }
        needed = {name: make for name, make in makers.items() if mixed or name in wanted}
        families: dict[str, Family] = {}
        with self._progress.step("Quantising", len(needed)) as advance:
            for name, make in needed.items():
                family = self._attempt([name], partial(self._whole, make))
                if family is not None:
                    families[name] = family
                advance(1)
        if mixed and not steered:
            self._done.problems |= dict.fromkeys(mixed, "no inputs to search with that do not judge")
        elif mixed:
            budget = self._meter.budget
            step = self._progress.step("Searching for what must stay in float", int(budget.seconds))
            with step as budget.advance, budget.running():
                self._mend(families)
        return self._done

    def _attempt(self, names: Collection[str], make: Callable[[], T]) -> T | None:
        """Return what `make` makes; None, and the reason noted, where it cannot."""
        try:
            return make()
        except OSError:
            raise  # no space on disk is no fault of the variant's
        except GateError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - the quantiser raises whatever it trips over
            reason = f"cannot be quantised: {type(error).__name__}: {in_one_line(error)[:300]}"
        self._done.problems |= dict.fromkeys(names, reason)
        return None

    def _static(self, prepared: Prepared) -> Family:
        """Return the family with the ranges, of three methods, that make the smallest error."""
        if not self._calibration:
            msg = "no calibration data that does not judge"
            raise GateError(msg)
        with self._meter.budget.running():
            return self._best_ranges(prepared)

    def _best_ranges(self, prepared: Prepared) -> Family:
        best: tuple[float, Static] | None = None
        failure: Exception | None = None
        for method in METHODS:
            if best is not None and not self._meter.budget.left:
                break
            try:
                ranges = find_ranges(prepared.model, method, self._calibration, self._folder)
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 - entropy, for one, is refused by values beyond all measure
                failure = error
                continue
            family = Static(prepared, ranges, method)
            error_found = self._meter.measure(partial(family.write, family.units))
            if best is None or error_found < best[0]:
                best = error_found, family
        if best is None:
            msg = f"cannot be calibrated: {in_one_line(failure) if failure else 'no method'}"
            raise GateError(msg) from failure
        return best[1]

    def _whole(self, make: Callable[[], Family]) -> Family:
        """Return a family, after the variant in which all of it is quantised has been tried."""
        family = make()
        if not family.units:
            msg = f"{family.nothing}, expected some that are worth it"
            raise GateError(msg)
        path = self._folder / f"{family.name}.onnx"
        how = f"{family.described(0)}{self._fused}"
        candidate = self._attempt(
            [family.name],
            lambda: write_measured(family, family.name, family.units, path, how, self._bench),
        )
        if candidate is not None:
            self._done.candidates.append(candidate)
        return family

    def _mend(self, families: Mapping[str, Family]) -> None:
        made = {candidate.name: candidate for candidate in self._done.candidates}
        times = self._bench.latencies_ms(
            {FP32: self._fp32.session} | {name: candidate.session for name, candidate in made.items()}, _QUICK_S
        )
        passed = [name for name, candidate in made.items() if candidate.gate.passed]
        half: frozenset[str] = frozenset()
        if "int8-weights" in families and not passed:
            half = self._mended(families["int8-weights"], times[FP32])
        if passed:
            self._done.skipped["mixed-weights"] = f"{passed[0]} passes the gate"
        elif "int8-weights" not in families:
            self._done.problems["mixed-weights"] = self._done.problems["int8-weights"]
        integers = [name for name, family in families.items() if family.computes_integers]
        best = min((times[name] for name in integers if name in passed), default=math.inf)
        # the fastest first; what cannot be made as a whole may be the fastest of all
        missed = sorted(set(integers) - set(passed), key=lambda name: times.get(name, 0.0))
        if not integers:
            self._done.problems["int8-mixed"] = "nothing of this model is computed in integers"
        elif not missed:
            self._done.skipped["int8-mixed"] = "nothing that computes in integers misses the gate"
        failures = []
        for name in missed:
            hopeless = self._hopeless(times.get(name, 0.0), best)
            if hopeless:
                failures.append(f"{name} misses the gate, and {hopeless}")
                continue
            families[name].keep_half(half)
            self._mended(families[name], _WORTH * min(best, times[FP32]))
            if any(candidate.name == "int8-mixed" for candidate in self._done.candidates):
                break
            failures.append(self._done.problems["int8-mixed"])
        if failures:
            self._done.problems["int8-mixed"] = "; ".join(failures)

    def _hopeless(self, takes_ms: float, best_ms: float) -> str | None:
        if takes_ms > _WORTH * best_ms:
            return "is no faster than what passes"
        return None if self._meter.budget.left else "no time was left to search for what costs the accuracy"

    def _mended(self, family: Family, limit_ms: float) -> frozenset[str]:
        """Note what mending a family comes to; return what was left out."""
        path = self._folder / f"{family.mixed_name}.onnx"
        result = self._attempt(
            [family.mixed_name], lambda: mend(family, path, self._fused, self._bench, self._meter, limit_ms)
        )
        if result is None:
            return frozenset()
        candidate, left_out = result
        self._done.candidates = [c for c in self._done.candidates if c.name != candidate.name] + [candidate]
        return left_out
