"""Bars with their spread, as a picture without scripts, fonts or links. All start at 0, so that lengths compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Plot", "Stick", "to_svg"]

_WIDTH, _LEFT, _RIGHT = 760, 250, 110  # of the picture, and of its margins for names and figures
_TOP, _LINE, _GAP = 40, 22, 30  # height of the title, of a bar, and of a group's name
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#333}.title{font-size:14px}.group{font-weight:bold}.ours{fill:#06c}"
    ".other{fill:#b8bec8}.spread{stroke:#333;fill:none}.paper{fill:#fff}</style>"
)


@dataclass(frozen=True)
class Stick:
    """One bar: a median with the lowest and the highest value; `ours` has a colour of its own."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False


@dataclass(frozen=True)
class Plot:
    """Groups of bars that share a scale within their group.

    Attributes:
        file: Name of the picture, `cold.svg` for example.
        title: What is shown.
        unit: Of all values.
        groups: Bars by the name of their group.
    """

    file: str
    title: str
    unit: str
    groups: Mapping[str, Sequence[Stick]]


def to_svg(plot: Plot) -> str:
    """Return the picture."""
    parts, top = [f'<text class="title" x="12" y="24">{escape(plot.title)}</text>'], _TOP
    for name, sticks in plot.groups.items():
        parts.append(f'<text class="group" x="12" y="{top + 16}">{escape(name)}</text>')
        top += _GAP
        scale = (_WIDTH - _LEFT - _RIGHT) / (max((stick.high for stick in sticks), default=0) or 1)
        for stick in sticks:
            parts.append(_bar(stick, plot.unit, top, scale))
            top += _LINE
    height = top + 12
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    paper = f'<rect class="paper" width="{_WIDTH}" height="{height}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{_STYLE}{paper}\n' + "\n".join(parts) + "\n</svg>\n"


def _bar(stick: Stick, unit: str, top: int, scale: float) -> str:
    class_, middle = "ours" if stick.ours else "other", top + _LINE / 2 - 2
    low, value, high = (_LEFT + scale * each for each in (stick.low, stick.value, stick.high))
    ends = "".join(f"M{x:.1f},{middle - 3:.1f}v6" for x in (low, high))
    return (
        f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(stick.label)}</text>'
        f'<rect class="{class_}" x="{_LEFT}" y="{top + 2}" width="{value - _LEFT:.1f}" height="{_LINE - 8}"/>'
        f'<path class="spread" d="M{low:.1f},{middle:.1f}H{high:.1f}{ends}"/>'
        f'<text x="{high + 8:.1f}" y="{top + 13}">{stick.value:.3g} {escape(unit)}</text>'
    )
