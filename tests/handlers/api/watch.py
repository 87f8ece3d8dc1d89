"""What fuzzing watches beside the answers: how many cases there were, how long the slowest took, and memory."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["EXAMPLES", "FUZZING", "Watch", "resident_bytes"]

FUZZING = "LAMBDASERVE_FUZZ_EXAMPLES" in os.environ
"""Whether this is a long run, of which times are to be checked: `make fuzz`."""

EXAMPLES = int(os.environ.get("LAMBDASERVE_FUZZ_EXAMPLES", "300"))
"""Cases for each test."""


@dataclass
class Watch:
    """ASGI middleware around the whole application.

    `most_cpu_s` is what the hardest case took of the processor, which others on the machine do not change; `slowest_s`
    is the longest that one took by the clock.
    """

    app: ASGIApp
    cases: int = 0
    most_cpu_s: float = 0.0
    slowest_s: float = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, start_cpu = time.perf_counter(), time.process_time()
        try:
            await self.app(scope, receive, send)
        finally:
            self.cases += 1
            self.most_cpu_s = max(self.most_cpu_s, time.process_time() - start_cpu)
            self.slowest_s = max(self.slowest_s, time.perf_counter() - start)


def resident_bytes() -> int:
    """Return how much memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
