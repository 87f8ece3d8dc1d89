"""What a figure has to reach."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bar", "at_least", "at_most", "missed"]


@dataclass(frozen=True)
class Bar:
    """A bound of one figure, which meets it where it is equal.

    Attributes:
        figure: Which: an attribute of what holds the figures.
        bound: In its unit.
        is_most: Whether it is the most that the figure may be, or the least.
    """

    figure: str
    bound: float
    is_most: bool

    def is_met(self, figures: object) -> bool:
        """Tell whether the figure reaches it; what could not be measured, or is not a number, does not."""
        value: float | None = getattr(figures, self.figure)  # raises for a name that is none
        if value is None:
            return False
        return value <= self.bound if self.is_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.is_most else 'at least'} {self.bound:.3g}"


def at_most(figure: str, bound: float) -> Bar:
    """Return a bar that a figure must not exceed."""
    return Bar(figure, bound, is_most=True)


def at_least(figure: str, bound: float) -> Bar:
    """Return a bar that a figure must not fall short of."""
    return Bar(figure, bound, is_most=False)


def missed(figures: object, bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars that are not met."""
    return [bar for bar in bars if not bar.is_met(figures)]
