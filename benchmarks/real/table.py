"""The figures for people, each beside its bar."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata

from rich.table import Table

from benchmarks.real.bars import Bar, Figure
from benchmarks.real.figures import Figures
from export.measure import machine_name

__all__ = ["describe_machine", "to_table"]

_TOOLS = ("torch", "onnxruntime", "onnx", "numpy")


def to_table(rows: Sequence[tuple[str, Figures, Sequence[Bar]]]) -> Table:
    """Return one row for each model: its name, its figures, and the bars that they are held against."""
    table = Table(show_lines=True)
    for heading in ("model", "chosen", "score", "cosine", "same class", "size", "beside PyTorch", "beside fp32"):
        table.add_column(heading)
    for name, figures, bars in rows:
        cells = _cells(figures)
        for bar in bars:
            cells[bar.figure] += f"\n{bar}: {'[green]met[/green]' if bar.is_met(figures) else '[red]missed[/red]'}"
        table.add_row(name, f"{figures.chosen}\n{figures.chosen_ms:.3g} ms", *cells.values())
    return table


def describe_machine(threads: int) -> str:
    """Return what the figures were measured on, with what, and when, in one line."""
    tools = ", ".join(f"{tool} {metadata.version(tool)}" for tool in ("lambdaserve", *_TOOLS))
    today = datetime.now(UTC).date().isoformat()
    return f"{machine_name()}, {threads} threads, {today}; Python {platform.python_version()}, {tools}"


def _cells(figures: Figures) -> dict[Figure, str]:
    score = same_class = ""
    if figures.score is not None:
        score = f"{figures.score:.2%}\nPyTorch {figures.pytorch_score:.2%}\n{figures.points_lost:.2f} points lost"
    if figures.top_1 is not None:
        same_class = f"{figures.top_1:.2%}"
    return {
        "points_lost": score,
        "cosine": f"{figures.cosine:.4f}",
        "top_1": same_class,
        "size_ratio": f"{figures.size_ratio:.3f} of fp32",
        "times_pytorch": f"{figures.times_pytorch:.2f} times as fast\nPyTorch {figures.pytorch_ms:.3g} ms",
        "times_fp32": f"{figures.times_fp32:.2f} times as fast\nfp32 {figures.fp32_ms:.3g} ms",
    }
