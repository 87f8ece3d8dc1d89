"""What the cold starts of a model come to, and what each figure has to reach."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cold.cases import Case
from benchmarks.cold.contenders import BARE, FLOOR, OURS, FirstAnswer
from benchmarks.real.bars import Bar, at_most

__all__ = ["Figures", "bars_for"]

_LARGER = ("minilm", "bert-base", "large")  # those for which a plain handler must take twice as long
_KB, _MB = 1024, 1024 * 1024  # as Lambda counts


@dataclass(frozen=True)
class Figures:
    """Cold starts of one model on so many CPUs.

    Attributes:
        case: The model.
        cpus: How many.
        answers: By contender, one for each round, in the rounds' order.
        reference_peak_bytes: Peak memory of the same imports and the same session from a local file.
    """

    case: Case
    cpus: int
    answers: Mapping[str, Sequence[FirstAnswer]]
    reference_peak_bytes: int

    @property
    def times_floor(self) -> float:
        """How many times as long as the floor ours takes."""
        return self.ratio(OURS, FLOOR)

    @property
    def times_plain(self) -> float:
        """How many times as long as the plain handler, as `sam build` leaves it, ours takes."""
        return self.ratio(OURS, BARE)

    @property
    def excess_kb(self) -> float:
        """How much more ours fetched than the files that it needs: documents, headers, and what it did not need."""
        return (_most(answer.fetched_bytes for answer in self.answers[OURS]) - self.case.needed_bytes) / _KB

    @property
    def goldens_kb(self) -> float:
        """The size of the goldens."""
        return self.case.goldens_bytes / _KB

    @property
    def peak_mb(self) -> float:
        """The most memory that ours had resident up to its first answer."""
        return _most(answer.peak_bytes for answer in self.answers[OURS]) / _MB

    @property
    def added_mb(self) -> float:
        """What that is more than the same imports and session take."""
        return self.peak_mb - self.reference_peak_bytes / _MB

    def seconds(self, contender: str) -> list[float]:
        """Return the times of a contender, in the rounds' order."""
        return [answer.seconds for answer in self.answers[contender]]

    def ratio(self, one: str, other: str) -> float:
        """Return how many times as long `one` takes as `other`: the median over the rounds.

        Not the ratio of the medians: a machine that slows down for a while slows a whole round.
        """
        pairs = zip(self.seconds(one), self.seconds(other), strict=True)
        return statistics.median(first / second for first, second in pairs)


def bars_for(model: str) -> list[Bar]:
    """Return what the figures of a model must not exceed."""
    bars = [
        at_most("times_floor", 1.25),
        at_most("excess_kb", 64),
        at_most("goldens_kb", 256),
        at_most("added_mb", 40),
    ]
    return [*bars, at_most("times_plain", 0.5)] if model in _LARGER else bars


def _most(values: Iterable[int | None]) -> int:
    """Return the largest of those that are known: at least one must be."""
    return max(value for value in values if value is not None)
