"""When the phases of a cold start began and ended, in seconds since the process did. Phases overlap."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Span", "Timeline"]

_MOST = 512  # spans that are kept of one process: an embedded server that loads and drops models does so for months


class Span(NamedTuple):
    """A phase, and when it began and ended, in seconds since the process began."""

    name: str
    start_s: float
    end_s: float


class Timeline:
    """Spans of a cold start, from whatever threads they ran in. Safe to use from several threads; 5 us a span."""

    def __init__(self, whole: "Timeline | None" = None) -> None:
        """Begin with nothing; what is noted here is noted in `whole` too."""
        self._whole = whole
        self._lock = threading.Lock()
        self._spans: deque[Span] = deque(maxlen=_MOST)
        self._untold: deque[Span] = deque(maxlen=_MOST)
        self._running: list[tuple[str, float]] = []
        self._told = False

    def empty_copy(self) -> "Timeline":
        """Return another one with nothing in it; what is noted there is noted in the same whole."""
        return Timeline(self._whole)

    @staticmethod
    def now_s() -> float:
        """Return how long ago the process began."""
        return time.monotonic() - _PROCESS_START_S

    @staticmethod
    def at_s(monotonic_s: float) -> float:
        """Return how old the process was when `time.monotonic` said so."""
        return monotonic_s - _PROCESS_START_S

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Note the block as a span, however it ends."""
        end = self.begin(name)
        try:
            yield
        finally:
            end()

    def begin(self, name: str) -> Callable[[], None]:
        """Begin a span, and return what ends it, in whatever thread."""
        begun = (name, self.now_s())
        for timeline in self._all():
            timeline._running.append(begun)  # noqa: SLF001 - of its own kind; appending is atomic

        def end() -> None:
            ended = Span(*begun, self.now_s())
            for timeline in self._all():
                with timeline._lock:  # noqa: SLF001 - as above
                    timeline._running.remove(begun)  # noqa: SLF001 - as above
                    timeline._note(ended)  # noqa: SLF001 - as above

        return end

    def add(self, name: str, start_s: float, end_s: float) -> None:
        """Note a span that was measured elsewhere, in seconds since the process began."""
        for timeline in self._all():
            with timeline._lock:  # noqa: SLF001 - as above
                timeline._note(Span(name, start_s, end_s))  # noqa: SLF001 - as above

    @property
    def spans(self) -> list[Span]:
        """All spans that have ended, in that order."""
        with self._lock:
            return list(self._spans)

    @property
    def phases_ms(self) -> dict[str, float]:
        """How long each phase took in milliseconds; several spans of a name add up."""
        return durations_ms(self.spans)

    def tell(self, *, waited: bool, failed: bool, entered_s: float = 0.0) -> str:
        """Return what is due to an answer, as entries of `Server-Timing`; empty where nothing is.

        The first answer tells all that was, a later one what has ended since where it waited for it. An answer that
        failed tells the spans that still run as well, up to now, and leaves them all to the next one.

        Args:
            waited: Whether the answer waited for a model.
            failed: Whether it says that something could not be done.
            entered_s: When its request came in, since the process began: what had ended by then, nobody waited for.
        """
        if not (waited or failed or not self._told):  # the many
            return ""
        with self._lock:
            spans = [span for span in self._untold if not self._told or span.end_s >= entered_s]
            if failed:
                now_s = self.now_s()
                spans += [Span(name, start_s, now_s) for name, start_s in self._running]
            else:
                self._told = True
                self._untold.clear()
        return _entries(spans)

    def restart(self) -> None:
        """Let nothing that was so far be told to anybody: whoever answers from now on is a copy of this process."""
        with self._lock:
            self._untold.clear()
            self._told = False

    def _all(self) -> "tuple[Timeline, ...]":
        return (self,) if self._whole is None else (self, self._whole)

    def _note(self, span: Span) -> None:
        self._spans.append(span)
        self._untold.append(span)


def durations_ms(spans: Iterable[Span]) -> dict[str, float]:
    """Return how long each phase took in milliseconds; several spans of a name add up."""
    found: dict[str, float] = {}
    for name, start_s, end_s in spans:
        found[name] = found.get(name, 0.0) + (end_s - start_s) * 1000
    return found


def _entries(spans: list[Span]) -> str:
    if not spans:
        return ""
    total_ms = (max(span.end_s for span in spans) - min(span.start_s for span in spans)) * 1000
    phases = "".join(f", cold-{name.replace('_', '-')};dur={ms:.2f}" for name, ms in durations_ms(spans).items())
    return f"cold;dur={total_ms:.2f}{phases}"


def _process_start_s() -> float:
    """Return when this process began, as `time.monotonic` counts, to 10 ms; where no system tells: now."""
    now_s = time.monotonic()
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib takes a millisecond to import
            fields = file.read().rpartition(b")")[2].split()  # the second field, a name, may hold anything
        # the 22nd field of proc(5), of which the first two are gone: in clock ticks since the machine began
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):  # AttributeError: no such clock but on Linux
        return now_s
    return now_s - max(0.0, age_s)


_PROCESS_START_S = _process_start_s()
