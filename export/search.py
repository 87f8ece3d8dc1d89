"""Finds what must not be quantised: measures what parts of a model cost, and leaves out as few of them as will do.

Noise of quantisation from different places is nearly independent, so squared errors add up (D. Lin, S. Talathi, S.
Annapureddy, "Fixed point quantization of deep convolutional networks", ICML 2016, section 3): the error of a part is
measured with that part quantised and nothing else. Parts are halved where the error is largest, for as long as there is
time, so that a few harmful nodes are found in a few measurements, and all are told apart where time allows.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.progress import Advance
from export.quantize.families import Family
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["Budget", "ErrorMeter", "Part", "count_to_leave_out", "find_parts", "most_harmful_first"]


@dataclass
class Budget:
    """Time that a search may take, by the clock, and what it has taken while it was `running`.

    `advance` is told of whole seconds that have passed.
    """

    seconds: float
    advance: Advance = lambda _: None
    measurements: int = 0
    _before_s: float = field(default=0.0, repr=False)
    _since: float | None = field(default=None, repr=False)
    _shown: int = field(default=0, repr=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the time count for as long as the block lasts."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._before_s, self._since = self.taken_s, None

    @property
    def taken_s(self) -> float:
        """Time taken so far."""
        return self._before_s + (0.0 if self._since is None else time.perf_counter() - self._since)

    @property
    def left(self) -> bool:
        """Whether there is time left."""
        whole = min(int(self.taken_s), int(self.seconds))
        self.advance(whole - self._shown)
        self._shown = whole
        return self.taken_s < self.seconds


class ErrorMeter:
    """Measures how far models are from PyTorch, on inputs that do not judge."""

    def __init__(self, batches: Sequence[tuple[Arrays, Arrays]], folder: Path, threads: int, budget: Budget) -> None:
        """Take inputs and PyTorch's answers; files for a while go to `folder`."""
        self.budget = budget
        self._batches = batches
        self._folder = folder
        self._threads = threads
        self._powers = _powers([expected for _, expected in batches])

    def measure(self, write: Callable[[Path], None]) -> float:
        """Return the squared error of the model that `write` writes, relative to the squares of PyTorch's outputs.

        Of several outputs, the worst counts; of integers and text, the share that differs. Infinite for what cannot be
        made, opened or run.
        """
        self.budget.measurements += 1
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                path = Path(folder) / "trial.onnx"
                write(path)
                session = Session(path, threads=self._threads)
            return self._error(session)
        except OSError:
            raise  # no space on disk is no fault of the model's
        except Exception:  # noqa: BLE001 - the quantiser raises whatever it trips over; what cannot be made costs all
            return math.inf

    def _error(self, session: Session) -> float:
        totals = dict.fromkeys(self._powers, 0.0)
        for inputs, expected in self._batches:
            found = session.run(inputs)
            for name in totals:
                totals[name] += _deviation(found[name], expected[name])
        errors = [total / (self._powers[name] or 1.0) for name, total in totals.items()]
        worst = float(np.max(errors)) if errors else 0.0
        return worst if np.isfinite(worst) else math.inf


def _deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the sum of squared differences; of what is no floating number, how many elements differ."""
    if expected.dtype.kind != "f":
        return float(np.sum(found != expected))
    with np.errstate(all="ignore"):
        # equal infinities, as of what is masked, are no difference
        difference = np.where(found == expected, 0.0, found.astype(np.float64) - expected)
        return float(np.square(difference).sum())


def _powers(outputs: Sequence[Arrays]) -> dict[str, float]:
    """Return what deviations of each output are relative to: its sum of squares, or how many elements it has."""
    powers = dict.fromkeys(outputs[0], 0.0)
    for batch in outputs:
        for name, values in batch.items():
            numbers = (
                values[np.isfinite(values)].astype(np.float64) if values.dtype.kind == "f" else np.ones(values.size)
            )
            powers[name] += float(np.square(numbers).sum())
    return powers


@dataclass(frozen=True)
class Part:
    """Units of a family that were measured together, and the error that they cause."""

    units: tuple[str, ...]
    error: float


def find_parts(family: Family, meter: ErrorMeter, enough: float) -> list[Part]:
    """Return the units of a family in parts, the harmful ones on their own.

    The part with the largest error is halved, again and again, until the parts of more than one unit together cost no
    more than `enough`, or time is up.
    """

    def measured(units: Sequence[str]) -> Part:
        return Part(tuple(units), meter.measure(lambda path: family.write_only(units, path)))

    parts = [measured(family.units)]
    while meter.budget.left:
        whole = [part for part in parts if len(part.units) > 1]
        if sum(part.error for part in whole) <= enough:
            break
        worst = max(whole, key=lambda part: part.error)
        half = len(worst.units) // 2
        parts.remove(worst)
        parts += [measured(worst.units[:half]), measured(worst.units[half:])]
    return parts


def most_harmful_first(family: Family, parts: Sequence[Part]) -> list[Part]:
    """Return parts in the order in which they are to be left out: by the error that each saves for its price."""
    return sorted(parts, key=lambda part: part.error / sum(map(family.price, part.units)), reverse=True)


def count_to_leave_out(family: Family, order: Sequence[Part], meter: ErrorMeter, target: float) -> int:
    """Return how many of the parts must be left out, the first ones first, so that the error is at most `target`.

    Found by bisection over measured files; where time is up, by adding up what the parts cost. All, where no number
    will do.
    """

    def good(count: int) -> bool:
        kept = [unit for part in order[count:] for unit in part.units]
        if meter.budget.left:
            return meter.measure(lambda path: family.write(kept, path)) <= target
        return sum(part.error for part in order[count:]) <= target

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle + 1, high)
    return low
