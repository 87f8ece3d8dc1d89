"""The plot of a report: what each variant weighs against what it takes, both axes from 0, so that lengths compare."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from export.figures import format_loss, format_ms, format_size
from export.markup import element
from export.report import Report, Trial
from export.report_labels import Box, Free

__all__ = ["KINDS", "kind_of", "to_plot", "to_swatch"]

KINDS = {
    "chosen": "chosen",
    "packaged": "packaged: passes, and is kept in reserve",
    "refused": "rejected, although its answers pass",
    "failed": "rejected: its answers do not pass",
}
"""What a mark can be, and what it means."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 34, 44  # what the axes' words need
_MARK = 11  # half of a mark's room
_LINE = 15  # height of a line of text
_BOLD, _PLAIN = 7.9, 6.6  # widths of a letter, in a wide font
_LETTERS = 34  # of a line, at most
_HEADROOM = 1.06
_FAR = 1.7  # times the slowest variant: a PyTorch that is further would push all of them into a corner
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes"))


class _Line(NamedTuple):
    """A line of a label; `name` is bold."""

    name: str
    loss: str
    verdict: str


def kind_of(trial: Trial) -> str:
    """Return which of `KINDS` a trial is."""
    if trial.verdict in {"chosen", "packaged"}:
        return trial.verdict
    return "refused" if trial.gate and trial.gate.passed else "failed"


def to_plot(report: Report, width: int, class_: str) -> Element | None:
    """Return an `svg` of the variants that were measured, None if none was.

    Args:
        report: Gives size, time, loss and verdict.
        width: In pixels; the height follows from how many variants there are to name.
        class_: Of the element.
    """
    drawn = [(trial, trial.latency_ms, trial.size_bytes) for trial in report.trials]
    points = [(trial, ms, size) for trial, ms, size in drawn if ms is not None and size is not None]
    if not points:
        return None
    height = max(380, _TOP + _BOTTOM + 44 * len(points))
    frame = Box(_LEFT, _TOP, width - _RIGHT, height - _BOTTOM)
    slowest = max(ms for _, ms, _ in points)
    is_near = report.pytorch_latency_ms <= _FAR * slowest
    about = max(3, width // 120)
    times = _ticks(_HEADROOM * max(slowest, report.pytorch_latency_ms if is_near else 0), about)
    largest = max(size for _, _, size in points)
    unit_bytes, unit = next((value, name) for value, name in _UNITS if largest >= value or value == 1)
    sizes = _ticks(_HEADROOM * largest / unit_bytes, 5)

    def place(ms: float, size_bytes: float) -> tuple[float, float]:
        across, up = ms / times[-1], size_bytes / unit_bytes / sizes[-1]
        return frame.left + across * (frame.right - frame.left), frame.bottom - up * (frame.bottom - frame.top)

    places = [place(ms, size) for _, ms, size in points]
    pytorch_x = place(report.pytorch_latency_ms, 0)[0] if is_near else None
    return element(
        "svg",
        *_axes(frame, times, sizes, unit),
        *_pytorch(report, frame, pytorch_x),
        *_marks([trial for trial, _, _ in points], places, frame, pytorch_x),
        class_=class_,
        role="img",
        viewBox=f"0 0 {width} {height}",
        aria_label="Size against time of a run of each variant; the table below has the numbers.",
    )


def to_swatch(kind: str) -> Element:
    """Return a mark for the legend."""
    return element("svg", *_mark(kind, 12, 12), class_="swatch", viewBox="0 0 24 24", aria_hidden="true")


def _ticks(highest: float, about: int) -> list[float]:
    """Return round numbers from 0 to the first that is not below `highest`, roughly `about` of them."""
    rough = (highest or 1.0) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10, 20) if power * factor >= rough)
    return [step * i for i in range(math.ceil(highest / step - 1e-9) + 1 if highest else 2)]


def _axes(frame: Box, times: Sequence[float], sizes: Sequence[float], unit: str) -> Iterator[Element]:
    for i, size in enumerate(sizes):
        y = frame.bottom - (frame.bottom - frame.top) * i / (len(sizes) - 1)
        yield element("line", class_="grid", x1=frame.left, x2=frame.right, y1=y, y2=y)
        yield element("text", f"{size:g}", class_="tick end", x=frame.left - 8, y=y + 4)
    for i, time in enumerate(times):
        x = frame.left + (frame.right - frame.left) * i / (len(times) - 1)
        yield element("line", class_="grid", x1=x, x2=x, y1=frame.top, y2=frame.bottom)
        yield element("text", f"{time:g}", class_="tick middle", x=x, y=frame.bottom + 17)
    yield element("text", f"size, {unit}", class_="axis", x=6, y=14)
    yield element("text", "time of a run, ms", class_="axis end", x=frame.right, y=frame.bottom + 36)
    yield element("text", "\u2199 smaller and faster", class_="axis", x=frame.left, y=frame.bottom + 36)


def _pytorch(report: Report, frame: Box, x: float | None) -> Iterator[Element]:
    words = f"PyTorch {format_ms(report.pytorch_latency_ms)}"
    if x is None:
        yield element("text", f"{words} \u2192", class_="reference end", x=frame.right, y=frame.top - 8)
        return
    yield element("line", class_="reference", x1=x, x2=x, y1=frame.top - 4, y2=frame.bottom)
    half = len(words) * _PLAIN / 2
    middle = min(max(x, frame.left + half), frame.right - half)
    yield element("text", words, class_="reference middle", x=middle, y=frame.top - 8)


def _marks(
    trials: Sequence[Trial], places: Sequence[tuple[float, float]], frame: Box, pytorch_x: float | None
) -> Iterator[Element]:
    lines = [Box(pytorch_x - 2, frame.top, pytorch_x + 2, frame.bottom)] if pytorch_x is not None else []
    free = Free(frame, [Box.around(x, y, _MARK) for x, y in places], lines)
    labels: list[Element] = []
    for group in _groups(places):
        x, y = (sum(places[i][axis] for i in group) / len(group) for axis in (0, 1))
        words = _single(trials[group[0]]) if len(group) == 1 else [_crowded(trials[i]) for i in group]
        width = max(_BOLD * len(line.name) + _PLAIN * len(line.loss) for line in words)
        box = free.take(x, y, width, _LINE * len(words) + 2)
        near_x, near_y = box.nearest(x, y)
        if math.hypot(near_x - x, near_y - y) > _MARK + 4:
            yield element("line", class_="leader", x1=x, y1=y, x2=near_x, y2=near_y)
        labels += _words(words, box)
    # what was chosen lies on top of what lies in the same place
    for trial, (x, y) in sorted(zip(trials, places, strict=True), key=lambda pair: pair[0].verdict == "chosen"):
        yield element("g", element("title", _tooltip(trial)), *_mark(kind_of(trial), x, y), class_="variant")
    yield from labels


def _groups(places: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return the indices of the places, those together whose marks cover each other, the most crowded first."""
    groups: list[list[int]] = []
    for i, place in enumerate(places):
        near = [group for group in groups if any(math.dist(place, places[j]) < _MARK for j in group)]
        groups = [group for group in groups if group not in near]
        groups.append(sorted([i, *(j for group in near for j in group)]))

    def room(group: list[int]) -> float:
        others = (place for i, place in enumerate(places) if i not in group)
        return min((math.dist(places[group[0]], other) for other in others), default=0.0)

    return sorted(groups, key=room)


def _single(trial: Trial) -> list[_Line]:
    return [_Line(_cut(trial.name, _LETTERS), "", trial.verdict), _Line("", _loss(trial), trial.verdict)]


def _crowded(trial: Trial) -> _Line:
    return _Line(_cut(trial.name, _LETTERS - len(_loss(trial)) - 1), f" {_loss(trial)}", trial.verdict)


def _words(lines: Sequence[_Line], box: Box) -> Iterator[Element]:
    for i, line in enumerate(lines):
        name = element("tspan", line.name, class_="name")
        place = {"x": (box.left + box.right) / 2, "y": box.top + 12 + i * _LINE}
        yield element("text", name, line.loss, class_=f"label middle {line.verdict}", **place)


def _loss(trial: Trial) -> str:
    return format_loss(trial.gate.loss) if trial.gate else "not judged"


def _cut(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}\u2026"


def _tooltip(trial: Trial) -> str:
    return f"{trial.name}: {format_size(trial.size_bytes or 0)}, {format_ms(trial.latency_ms or 0)} a run"


def _mark(kind: str, x: float, y: float) -> list[Element]:
    """Return a mark that can be told from the others without its colour, too."""
    if kind == "chosen":
        ring = element("circle", class_="mark chosen ring", cx=x, cy=y, r=10)
        return [ring, element("circle", class_="mark chosen", cx=x, cy=y, r=6)]
    if kind == "packaged":
        return [element("circle", class_="mark packaged", cx=x, cy=y, r=6)]
    if kind == "refused":
        return [element("circle", class_="mark refused", cx=x, cy=y, r=5.5)]
    strokes = f"M{x - 5:.2f},{y - 5:.2f}l10,10m0,-10l-10,10"
    return [element("path", class_="mark failed", d=strokes)]
