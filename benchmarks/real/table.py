"""The figures for people, each beside its bar."""

from collections.abc import Sequence

from benchmarks.real.bars import Bar
from benchmarks.real.figures import Figures
from benchmarks.results import Table

__all__ = ["to_table"]

_COLUMNS = ("model", "chosen", "score", "cosine", "same class", "size", "beside PyTorch", "beside fp32")


def to_table(rows: Sequence[tuple[str, Figures, Sequence[Bar]]]) -> Table:
    """Return one row for each model: its name, its figures, and the bars that they are held against."""
    lines = []
    for name, figures, bars in rows:
        cells = _cells(figures)
        for bar in bars:
            cells[bar.figure] += f"\n{bar}: {'met' if bar.is_met(figures) else 'missed'}"
        lines.append((name, f"{figures.chosen}\n{figures.chosen_ms:.3g} ms", *cells.values()))
    return Table("What was chosen for models with real weights", _COLUMNS, lines)


def _cells(figures: Figures) -> dict[str, str]:
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
