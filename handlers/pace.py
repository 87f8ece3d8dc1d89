"""How long a run of a model takes, learnt from those that it has done."""

__all__ = ["Pace"]

_MEMORY = 0.9  # how much a run counts when the next one has been seen
_HEARSAY = 0.2  # how much the manifest's run counts beside the first one that was seen here
_SPREAD = 1e-3  # of sizes, relative to their squares: with less, they tell nothing of how time grows with size
_DOUBT = 0.7  # what a refusal takes off the estimate
_SAFE_SHARE = 0.8  # of the time that runs of one size took on the average: what one takes at the least
_ELSEWHERE = 0.6  # of what was measured on another machine: this one may be faster


class Pace:
    """Estimates the time of a run from the number of elements of its inputs: a straight line through the last runs.

    It begins with the run that the manifest tells of. The line is fitted by least squares, in which a run counts less
    with each that follows; where all were of one size, time is taken to grow with size. Safe to use from several
    threads, of which one may overlook what another has just observed.
    """

    def __init__(self, elements: int = 0, seconds: float = 0.0) -> None:
        """Begin with one run of `elements` elements, measured on another machine perhaps; 0: nothing is known."""
        self.observed = False
        """Whether a run was seen here."""
        self._optimism = 1.0
        self._sums = _sums(elements, seconds)
        # by order of magnitude, the size of the last run and the average time of such runs
        self._seen = {elements.bit_length(): (elements, seconds * _ELSEWHERE)}

    def observe(self, elements: int, seconds: float) -> None:
        """Learn from a run."""
        weight = _MEMORY if self.observed else _HEARSAY
        old, seen = self._sums, _sums(elements, seconds)
        self._sums = (
            weight * old[0] + seen[0],
            weight * old[1] + seen[1],
            weight * old[2] + seen[2],
            weight * old[3] + seen[3],
            weight * old[4] + seen[4],
        )
        magnitude = elements.bit_length()
        if self.observed and magnitude in self._seen:
            before, average = self._seen[magnitude]
            seconds = (average * (elements / before if before else 1.0) + seconds) / 2
        self._seen[magnitude] = (elements, seconds)
        self.observed = True
        self._optimism = 1.0

    def estimate_s(self, elements: int) -> float:
        """Return how many seconds a run on `elements` elements should take."""
        n, x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread > _SPREAD * n * xx:
            slope = max(0.0, (n * xy - x * y) / spread)
            start = max(0.0, (y - slope * x) / n)
            return start + slope * elements
        growth = max(1.0, elements * n / x) if x else 1.0
        return growth * y / n

    def least_s(self, elements: int) -> float:
        """Return how many seconds a run on `elements` elements takes for certain, as far as runs have shown.

        Larger ones take no less than smaller ones have taken, and smaller ones no less than their share of it. How time
        grows beyond what was seen is not guessed: next to nothing may be to compute in a large run.
        """
        shown = (seconds * min(1.0, elements / size) for size, seconds in [*self._seen.values()] if size)
        return self._optimism * _SAFE_SHARE * max(shown, default=0.0)

    def doubt(self) -> None:
        """Take the certainty down after a run was refused because of it: else a wrong one would stand for ever."""
        self._optimism *= _DOUBT


def _sums(elements: int, seconds: float) -> tuple[float, float, float, float, float]:
    """Return what is summed up: runs, elements, seconds, elements squared, elements times seconds."""
    size = float(elements)
    return (1.0, size, seconds, size * size, size * seconds)
