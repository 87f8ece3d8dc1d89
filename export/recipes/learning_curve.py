"""How a training went, as a table and as a picture without scripts, fonts or links."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from xml.sax.saxutils import escape

import numpy as np

__all__ = ["CURVE_FILE", "PICTURE_FILE", "Step", "to_csv", "to_svg"]

CURVE_FILE, PICTURE_FILE = "learning-curve.csv", "learning-curve.svg"

_WIDTH, _HEIGHT = 640, 220  # of one panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 36
_POINTS = 200  # of a line; more of them cannot be told apart
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#333}.axis{stroke:#999;fill:none}.line{stroke:#06c;stroke-width:1.5;"
    "fill:none}circle{fill:#06c}rect{fill:#fff}</style>"
)


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: `step` and `epoch` count from 1; `score`: on held-out data, after an epoch."""

    step: int
    epoch: int
    learning_rate: float
    loss: float
    score: float | None


def to_csv(steps: Sequence[Step]) -> str:
    """Return one line a step; `score` is empty within an epoch."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([field.name for field in fields(Step)])
    table.writerows(astuple(step) for step in steps)
    return text.getvalue()


def to_svg(steps: Sequence[Step], title: str, metric: str) -> str:
    """Return a picture of two panels over the steps: the loss (means, if there are many) and the held-out score."""
    scored = [(step.step, step.score) for step in steps if step.score is not None]
    panels = [
        _panel(f"{title}: training loss", _thinned([(step.step, step.loss) for step in steps]), len(steps), 0),
        _panel(f"{title}: {metric} on held-out data", scored, len(steps), _HEIGHT),
    ]
    size = f'width="{_WIDTH}" height="{2 * _HEIGHT}" viewBox="0 0 {_WIDTH} {2 * _HEIGHT}"'
    background = f'<rect width="{_WIDTH}" height="{2 * _HEIGHT}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{_STYLE}{background}\n{"".join(panels)}</svg>\n'


def _thinned(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the means of at most 200 stretches of equal length."""
    parts = np.array_split(np.array(points, dtype=np.float64), min(_POINTS, len(points)))
    return [(float(x), float(y)) for x, y in (part.mean(0) for part in parts)]


def _panel(title: str, points: Sequence[tuple[float, float]], steps: int, top: int) -> str:
    values = [y for _, y in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0  # one height for all: any scale will do

    def place(x: float, y: float) -> str:
        across = _LEFT + (x / steps) * (_WIDTH - _LEFT - _RIGHT)
        return f"{across:.1f},{top + _TOP + (1 - (y - low) / span) * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    bottom = top + _HEIGHT - _BOTTOM
    line = " ".join(place(x, y) for x, y in points)
    last_x, last_y = place(*points[-1]).split(",")
    return (
        f'<text x="{_LEFT}" y="{top + 20}">{escape(title)}</text>\n'
        f'<path class="axis" d="M{_LEFT},{top + _TOP}V{bottom}H{_WIDTH - _RIGHT}"/>\n'
        f'<text x="{_LEFT - 8}" y="{top + _TOP + 4}" text-anchor="end">{high:.4g}</text>\n'
        f'<text x="{_LEFT - 8}" y="{bottom}" text-anchor="end">{low:.4g}</text>\n'
        f'<text x="{_WIDTH - _RIGHT}" y="{bottom + 20}" text-anchor="end">step {steps}</text>\n'
        f'<polyline class="line" points="{line}"/><circle cx="{last_x}" cy="{last_y}" r="3"/>\n'
    )
