"""The figures for people: who takes how long, ours beside its bars, and a picture."""

import statistics
from collections.abc import Sequence

from benchmarks.cold.contenders import FLOOR, FLOOR_CLIENT, OURS, FirstAnswer
from benchmarks.cold.figures import Figures, bars_for
from benchmarks.plots import Plot, Stick
from benchmarks.real.bars import Bar
from benchmarks.results import Table

__all__ = ["to_plot", "to_tables"]

_SHOWN = (
    ("times_floor", "beside the floor", "{:.2f} times"),
    ("times_plain", "beside (a) without bytecode", "{:.2f} times"),
    ("excess_kb", "fetched beyond what is needed", "{:.1f} KB"),
    ("goldens_kb", "goldens", "{:.1f} KB"),
    ("peak_mb", "peak memory", "{:.0f} MB"),
    ("added_mb", "beyond the same imports and session", "{:.1f} MB"),
)
_NOTE = """From the invocation, which starts the process, to the answer, through the Runtime Interface Emulator; the
store is behind a link with 15 ms to the first byte, 75 MB/s a connection and 300 MB/s in all. `ours` is how many times
as long as that contender ours takes, the median over the rounds; `CPU s` what the process has computed by its answer.
The floor speaks the Runtime API itself: under awslambdaric it takes {:.0f} ms more. The servers of (c) have neither
emulator nor link: their model is a local file. docs/benchmarks.md says what is counted.""".replace("\n", " ")


def to_tables(figures: Sequence[Figures], rounds: int) -> list[Table]:
    """Return a table of all contenders for each number of CPUs, and one of ours beside its bars."""
    tables = []
    for cpus in sorted({each.cpus for each in figures}):
        mine = [each for each in figures if each.cpus == cpus]
        rows = [
            (
                each.case.name,
                contender,
                _spread(each.seconds(contender)),
                _cpu_seconds(each.answers[contender]),
                f"{each.ratio(OURS, contender):.2f} times",
            )
            for each in mine
            for contender in each.answers
        ]
        title = f"Cold start to first answer, {_cpus(cpus)}, medians of {rounds}"
        columns = ("model", "contender", "s", "CPU s", "ours")
        tables.append(Table(title, columns, rows, _NOTE.format(1000 * _client_s(mine))))
    return [*tables, _bars_table(figures)]


def to_plot(figures: Sequence[Figures]) -> Plot:
    """Return the times of all contenders, model by model."""
    groups = {
        f"{each.case.name}, {_cpus(each.cpus)}": [
            Stick(contender, statistics.median(times), min(times), max(times), ours=contender == OURS)
            for contender in each.answers
            for times in [each.seconds(contender)]
        ]
        for each in figures
    }
    return Plot("cold.svg", "Cold start to first answer", "s", groups)


def _bars_table(figures: Sequence[Figures]) -> Table:
    rows = []
    for each in figures:
        bars = {bar.figure: bar for bar in bars_for(each.case.name)}
        cells = [_beside(each, layout.format(getattr(each, name)), bars.get(name)) for name, _, layout in _SHOWN]
        rows.append((each.case.name, each.case.variant.name, str(each.cpus), *cells))
    return Table("lambdaserve beside its bars", ("model", "variant", "CPUs", *(title for _, title, _ in _SHOWN)), rows)


def _beside(figures: Figures, value: str, bar: Bar | None) -> str:
    return f"{value}\n{bar}: {'met' if bar.is_met(figures) else 'missed'}" if bar else value


def _client_s(figures: Sequence[Figures]) -> float:
    """Return what awslambdaric costs: the median over models and rounds of the floor with it less the floor without."""
    pairs = [pair for each in figures for pair in zip(each.seconds(FLOOR_CLIENT), each.seconds(FLOOR), strict=True)]
    return statistics.median(client - floor for client, floor in pairs)


def _cpu_seconds(answers: Sequence[FirstAnswer]) -> str:
    known = [answer.cpu_seconds for answer in answers if answer.cpu_seconds is not None]
    return f"{statistics.median(known):.2f}" if known else "-"


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _cpus(count: int) -> str:
    return "one CPU" if count == 1 else f"{count} CPUs"
