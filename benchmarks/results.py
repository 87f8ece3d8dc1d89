"""Where measurements end up: tables on the terminal, and in `benchmarks/results.md` with plots beside them.

Each part of `make bench` writes a section of its own and leaves the others alone, so that parts can be run alone.
"""

import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.plots import Plot, to_svg
from export.measure import machine_name

__all__ = ["RESULTS", "SECTIONS", "Table", "describe_machine", "print_tables", "write_section"]

RESULTS = Path(__file__).parent / "results.md"
SECTIONS = {
    "cold": "Cold start",
    "warm": "Warm invocations",
    "throughput": "Throughput over HTTP",
    "models": "Models",
}
"""The sections in their order, and their headings."""

_TOOLS = ("torch", "onnxruntime", "onnx", "numpy")
_PIPED_COLUMNS = 160  # where no terminal says how many: enough for a figure a line
_HEAD = """# What was measured

Written by `make bench`, a section for each of its parts. Figures are medians, with the lowest and the highest where a
range stands beside them.
"""


@dataclass(frozen=True)
class Table:
    """Figures, each beside what it is held against. A cell may have several lines.

    Attributes:
        title: What is measured, under which conditions.
        columns: Headings.
        rows: As many cells each as there are columns.
        note: What a reader must know to judge them.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables on stdout."""
    console = Console(width=None if sys.stdout.isatty() else _PIPED_COLUMNS, highlight=False)
    for table in tables:
        lines = any("\n" in cell for row in table.rows for cell in row)
        rich = RichTable(title=table.title, title_justify="left", show_lines=lines)
        for column in table.columns:
            rich.add_column(column)
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich, markup=False)
        if table.note:
            console.print(table.note, markup=False)


def write_section(
    name: str, tables: Sequence[Table], plots: Sequence[Plot] = (), *, threads: int, path: Path = RESULTS
) -> None:
    """Replace a section of `benchmarks/results.md`, or add it in its place; plots go into files beside it.

    Args:
        name: One of `SECTIONS`.
        tables: What it holds.
        plots: What it shows below them.
        threads: Of each session that was measured; 0: the tables say.
        path: The file.

    Raises:
        KeyError: There is no section of that name.
    """
    heading = SECTIONS[name]
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = {other: part for other in SECTIONS if (part := _part(text, other))}
    for plot in plots:
        (path.parent / plot.file).write_text(to_svg(plot), encoding="utf-8")
    blocks = [f"## {heading}", f"Measured on {describe_machine(threads)}."]
    blocks += [_markdown(table) for table in tables]
    blocks += [f"![{plot.title}]({plot.file})" for plot in plots]
    found[name] = f"{_begin(name)}\n" + "\n\n".join(blocks) + f"\n{_end(name)}\n"
    path.write_text("\n".join([_HEAD, *(found[other] for other in SECTIONS if other in found)]), encoding="utf-8")


def describe_machine(threads: int) -> str:
    """Return what is measured on, with what, and when, in one line; `threads` of each session, 0: not one number."""
    tools = ", ".join(f"{tool} {metadata.version(tool)}" for tool in ("lambdaserve", *_TOOLS))
    today = datetime.now(UTC).date().isoformat()
    used = f", {threads} threads" if threads else ""
    return f"{machine_name()}{used}, {today}; Python {platform.python_version()}, {tools}"


def _begin(name: str) -> str:
    return f"<!-- begin {name} -->"


def _end(name: str) -> str:
    return f"<!-- end {name} -->"


def _part(text: str, name: str) -> str:
    found = re.search(f"{_begin(name)}.*?{_end(name)}\n", text, re.DOTALL)
    return found.group() if found else ""


def _markdown(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    blocks = [f"### {table.title}", "\n".join(lines)]
    return "\n\n".join([*blocks, table.note] if table.note else blocks)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
