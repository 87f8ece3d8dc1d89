"""How long things took, phase by phase, and how long they may."""

import time
from dataclasses import dataclass, field

__all__ = ["Deadline", "PhaseClock"]


@dataclass(frozen=True)
class Deadline:
    """A moment until which work must be done, in seconds as `time.monotonic` counts them; infinity: whenever."""

    at_s: float = float("inf")

    @property
    def left_s(self) -> float:
        """How many seconds are left; negative when it has passed."""
        return self.at_s - time.monotonic()

    def sooner(self, at_s: float) -> "Deadline":
        """Return this deadline or one at `at_s`, whichever comes first."""
        return self if self.at_s <= at_s else Deadline(at_s)


@dataclass
class PhaseClock:
    """Adds up how long each phase took, in milliseconds."""

    phases_ms: dict[str, float] = field(default_factory=dict)

    def phase(self, name: str) -> "_Phase":
        """Return a context that counts its time to the phase, however it ends."""
        return _Phase(self.phases_ms, name)

    @property
    def header(self) -> str:
        """The phases as the value of a `Server-Timing` header (https://www.w3.org/TR/server-timing/)."""
        return ", ".join(f"{name};dur={value:.2f}" for name, value in self.phases_ms.items())


class _Phase:
    """A block under the clock. A class, as a generator would take twice as long, three times in each request."""

    __slots__ = ("_name", "_phases_ms", "_start")

    def __init__(self, phases_ms: dict[str, float], name: str) -> None:
        self._phases_ms = phases_ms
        self._name = name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        elapsed_ms = (time.perf_counter() - self._start) * 1000
        self._phases_ms[self._name] = self._phases_ms.get(self._name, 0.0) + elapsed_ms
