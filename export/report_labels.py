"""Room for labels in a picture, so that none hides a mark or another label."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Free"]

_ANGLES = (0, 180, 270, 90, 330, 30, 210, 150, 300, 60, 240, 120)  # degrees; where room is looked for first
_GAP, _STEP = 12, 6  # pixels: from a mark to its label, and how much further each try is
_HIDING = 60  # pixels that a label may be further away so as to hide nothing
_DOT = 4  # pixels between the points that stand for a line


@dataclass(frozen=True)
class Box:
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, x: float, y: float, across: float, down: float | None = None) -> "Box":
        """Return the box that reaches so far from its middle; `down` is `across` unless given."""
        down = across if down is None else down
        return cls(x - across, y - down, x + across, y + down)

    def overlaps(self, other: "Box") -> bool:
        """Return whether they share more than an edge."""
        is_beside = self.left >= other.right or other.left >= self.right
        return not (is_beside or self.top >= other.bottom or other.top >= self.bottom)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the box that is nearest to another."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


class Free:
    """What is left of a frame for labels. Marks and labels are never hidden, lines only where nothing else helps."""

    def __init__(self, frame: Box, marks: Sequence[Box], lines: Sequence[Box]) -> None:
        self._frame = frame
        self._marks = list(marks)
        self._labels: list[Box] = []
        self._lines = list(lines)

    def take(self, x: float, y: float, width: float, height: float) -> Box:
        """Take the best box of that size for a label of the point, together with the line that leads there.

        Near is good; each line that the label hides, and each label or other mark that its own line passes behind, is
        as bad as `_HIDING` pixels more. Where there is no room at all, the label lies on its mark.
        """
        near = Box.around(x, y, _GAP)
        behind = [*self._labels, *(mark for mark in self._marks if not mark.overlaps(near))]
        best, cost = Box.around(x, y, width / 2, height / 2), math.inf
        for distance, box in self._tries(x, y, width, height):
            if distance >= cost:
                break
            if any(box.overlaps(other) for other in (*self._marks, *self._labels)):
                continue
            leader = _dots(x, y, *box.nearest(x, y))
            hidden = sum(any(dot.overlaps(label) for dot in leader) for label in behind)
            hidden += sum(box.overlaps(line) for line in self._lines)
            if distance + _HIDING * hidden < cost:
                best, cost = box, distance + _HIDING * hidden
        self._lines += _dots(x, y, *best.nearest(x, y))
        self._labels.append(best)
        return best

    def _tries(self, x: float, y: float, width: float, height: float) -> Iterator[tuple[float, Box]]:
        """Yield boxes around the point, each with its distance, from near to far."""
        frame = self._frame
        for distance in range(_GAP, int(frame.right + frame.bottom), _STEP):
            for angle in map(math.radians, _ANGLES):
                left = x + math.cos(angle) * (distance + width / 2) - width / 2
                top = y + math.sin(angle) * (distance + height / 2) - height / 2
                left = min(max(left, frame.left), frame.right - width)
                top = min(max(top, frame.top), frame.bottom - height)
                yield distance, Box(left, top, left + width, top + height)


def _dots(x: float, y: float, to_x: float, to_y: float) -> list[Box]:
    """Return small boxes along a line."""
    count = max(1, int(math.hypot(to_x - x, to_y - y) / _DOT))
    return [Box.around(x + (to_x - x) * i / count, y + (to_y - y) * i / count, 1) for i in range(count)]
