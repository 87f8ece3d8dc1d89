"""What long work shows on stderr: a bar on a terminal, a line for each step elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

__all__ = ["Advance", "Progress"]

Advance = Callable[[int], None]
"""Told how many more units are done."""


class Progress:
    """Shows which step of a piece of work is under way, and how far it is."""

    def __init__(self, console: Console | None = None) -> None:
        # this very stream: the bar stays on it while sys.stderr is redirected
        self._console = console or Console(file=sys.stderr)

    @contextmanager
    def step(self, description: str, total: int | None = None) -> Iterator[Advance]:
        """Show a step while it lasts. `total` counts its units, None where that cannot be known."""
        if not self._console.is_terminal:
            self._console.print(f"{description} ...", highlight=False)
            yield lambda _: None
            return
        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
        if total is not None:
            columns.insert(2, MofNCompleteColumn())
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(description, total=total)
            yield lambda units: bars.advance(task, units)
