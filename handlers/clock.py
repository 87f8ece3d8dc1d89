"""How long things took, phase by phase, and how long they may."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
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

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block to the phase, however it ends."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases_ms[name] = self.phases_ms.get(name, 0.0) + (time.perf_counter() - start) * 1000

    @property
    def header(self) -> str:
        """The phases as the value of a `Server-Timing` header (https://www.w3.org/TR/server-timing/)."""
        return ", ".join(f"{name};dur={value:.2f}" for name, value in self.phases_ms.items())
