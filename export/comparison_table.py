"""Two versions side by side for people: green what is better, red what is worse or does not fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from export.figures import format_ms, format_score, format_size
from export.markup import printable
from export.metrics import AGREEMENT, COSINE, METRICS
from handlers.versions.comparison import Comparison, Figures, VariantPair

__all__ = ["to_comparison_table"]

_BETTER, _WORSE = "green", "red"
_NOISE = 0.02  # of a figure: a smaller change has no colour


@dataclass(frozen=True)
class _Row:
    """A figure of a variant: how it is said, and whether more of it is better; None: nobody knows."""

    what: str
    value: Callable[[Figures], float]
    say: Callable[[float], str]
    larger_is_better: bool | None = False
    share: bool = False


_SIZE = _Row("size", lambda figures: figures.size_bytes, lambda size: format_size(int(size)))
_LOSS = _Row("loss", lambda figures: figures.loss, lambda loss: f"{loss:.2%}", share=True)
_TIME = _Row("time of a run", lambda figures: figures.latency_ms, format_ms)
_MEMORY = _Row("peak memory", lambda figures: figures.peak_memory_bytes, lambda size: format_size(int(size)))


def to_comparison_table(found: Comparison) -> Table:
    """Return a table of both versions: what differs, and the figures of each variant whether they differ or not."""
    verdict = "fits in its place" if found.compatible else "does not fit in its place"
    title = f"{found.model}: version {found.after} beside version {found.before}, {verdict}"
    table = Table("", f"version {found.before}", f"version {found.after}", "change", title=title)
    for each in found.differences:
        change = Text(printable(each.problem or "compatible"), _WORSE if each.problem else _BETTER)
        _add(table, f"{each.part} {each.name}", (each.before, each.after), change)
    for variant in found.variants:
        for row, before, after in _rows_of(variant):
            _add_figure(table, variant.name, row, before, after)
        _add_gate(table, variant)
    for file in found.files:
        sizes = [None if size is None else format_size(size) for size in (file.before, file.after)]
        _add(table, f"file {file.name}", sizes, Text("other bytes" if None not in sizes else ""))
    for pair in (*found.chosen, *found.origins):
        change = Text("" if pair.before == pair.after else "other")
        _add(table, pair.name, (_short(pair.before), _short(pair.after)), change)
    return table


def _rows_of(pair: VariantPair) -> Iterator[tuple[_Row, float | None, float | None]]:
    """Yield each row with both values; two metrics are two rows, as their scores say nothing of each other."""
    sides = (pair.before, pair.after)
    metrics = dict.fromkeys(side.metric for side in sides if side is not None)
    scores = [_Row(metric, lambda side: side.score, format_score, _larger_is_better(metric)) for metric in metrics]
    for row in (_SIZE, *scores, _LOSS, _TIME, _MEMORY):
        has_it = [side is not None and (row not in scores or row.what == side.metric) for side in sides]
        before, after = (row.value(side) if side and has else None for side, has in zip(sides, has_it, strict=True))
        yield row, before, after


def _larger_is_better(metric: str) -> bool | None:
    if metric in METRICS:
        return METRICS[metric].larger_is_better
    return True if metric in {AGREEMENT, COSINE} else None


def _add_figure(table: Table, variant: str, row: _Row, before: float | None, after: float | None) -> None:
    words = [None if value is None else row.say(value) for value in (before, after)]
    change = Text() if before is None or after is None else _change(before, after, row)
    _add(table, f"{variant}: {row.what}", words, change)


def _change(before: float, after: float, row: _Row) -> Text:
    if before == after:
        return Text("same")
    if row.share or not before:
        moved, said = after - before, f"{(after - before) * 100:+.2f} points" if row.share else ""
    else:
        moved = (after - before) / abs(before)
        said = f"{moved:+.1%}"
    if row.larger_is_better is None or abs(moved) < (_NOISE if row in (_TIME, _MEMORY) else 0):
        return Text(said)
    return Text(said, _BETTER if (moved > 0) == row.larger_is_better else _WORSE)


def _add_gate(table: Table, pair: VariantPair) -> None:
    sides = (pair.before, pair.after)
    words = [None if side is None else ("passed" if side.passed else "failed") for side in sides]
    change = Text("failed", _WORSE) if words[1] == "failed" else Text()
    _add(table, f"{pair.name}: gate", words, change)


def _short(word: str | None) -> str | None:
    """Return what tells two hashes apart."""
    return word[:12] if word is not None and len(word) == 64 else word  # noqa: PLR2004 - SHA-256


def _add(table: Table, what: str, sides: Sequence[str | None], change: Text) -> None:
    cells = (Text(printable("-" if word is None else word)) for word in (what, *sides))
    table.add_row(*cells, change)
