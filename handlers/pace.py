"""How long a run of a model takes, learnt from those that it has done."""

__all__ = ["Pace"]

_MEMORY = 0.9  # how much a run counts when the next one has been seen
_HEARSAY = 0.2  # how much the manifest's run counts beside the first one that was seen here
_SPREAD = 1e-3  # of sizes, relative to their squares: with less, they tell nothing of how time grows with size
_DOUBT = 0.7  # what a refusal takes off the estimate


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
        self.observed = True
        self._optimism = 1.0

    def estimate_s(self, elements: int) -> float:
        """Return how many seconds a run on `elements` elements should take."""
        n, x, y, xx, xy = self._sums
        spread = n * xx - x * x
        if spread > _SPREAD * n * xx:
            slope = max(0.0, (n * xy - x * y) / spread)
            start = max(0.0, (y - slope * x) / n)
            return self._optimism * (start + slope * elements)
        growth = max(1.0, elements * n / x) if x else 1.0
        return self._optimism * growth * y / n

    def doubt(self) -> None:
        """Take the estimate down after a run was refused because of it: else a wrong one would stand for ever."""
        self._optimism *= _DOUBT


def _sums(elements: int, seconds: float) -> tuple[float, float, float, float, float]:
    """Return what is summed up: runs, elements, seconds, elements squared, elements times seconds."""
    size = float(elements)
    return (1.0, size, seconds, size * size, size * seconds)
