"""How many calls each model of this process has answered, and how long they took, whatever the protocol."""

import threading
import time
from copy import deepcopy
from dataclasses import dataclass, field

from handlers.api.call import Call

__all__ = ["Counters", "Duration", "ModelCounts"]

_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class Duration:
    """How often something was done, and how long that took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ms: float) -> None:
        """Count once more, which took `ms` milliseconds."""
        self.count += 1
        self.ns += int(ms * _NS_PER_MS)


@dataclass
class ModelCounts:
    """All calls to one version of a model since the process started.

    Attributes:
        name: Of the model.
        version: Of the model.
        last_call_ms: When the last call ended, in milliseconds since 1970; 0 where there was none.
        samples: How many samples were answered.
        runs: How often the session ran for them.
        success: Calls that were answered.
        fail: Calls that were refused or failed.
        phases: `decode`, `infer` and `encode` of the calls that were answered.
    """

    name: str
    version: str
    last_call_ms: int = 0
    samples: int = 0
    runs: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    phases: dict[str, Duration] = field(default_factory=dict)


class Counters:
    """Counts calls. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], ModelCounts] = {}

    def answered(self, call: Call, elapsed_ms: float) -> None:
        """Count a call that was answered."""
        with self._lock:
            counts = self._of(call)
            counts.samples += call.samples
            counts.runs += call.runs
            counts.success.add(elapsed_ms)
            for phase, phase_ms in call.clock.phases_ms.items():
                if (duration := counts.phases.get(phase)) is None:
                    duration = counts.phases[phase] = Duration()
                duration.add(phase_ms)

    def failed(self, call: Call, elapsed_ms: float) -> None:
        """Count a call that was refused or failed."""
        with self._lock:
            counts = self._of(call)
            counts.fail.add(elapsed_ms)

    def snapshot(self) -> list[ModelCounts]:
        """Return the counts of every version that was called, by name and version."""
        with self._lock:
            return [deepcopy(counts) for _, counts in sorted(self._counts.items())]

    def _of(self, call: Call) -> ModelCounts:
        name, version = call.model.name, call.model.version
        if (counts := self._counts.get((name, version))) is None:
            counts = self._counts[name, version] = ModelCounts(name, version)
        counts.last_call_ms = time.time_ns() // _NS_PER_MS
        return counts
