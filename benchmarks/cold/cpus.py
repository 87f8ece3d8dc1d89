"""Which CPUs processes may use. Linux only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Cpus", "available", "started_on"]

_MB_PER_VCPU = 1769  # Lambda: one full vCPU for each


@dataclass(frozen=True)
class Cpus:
    """Where the function runs, and where all else does: the store, the link, and what measures."""

    function: frozenset[int]
    others: frozenset[int]

    @property
    def count(self) -> int:
        """How many the function has, and how many threads its sessions get."""
        return len(self.function)

    @property
    def memory_mb(self) -> int:
        """The memory size for which Lambda gives so many."""
        return self.count * _MB_PER_VCPU


def available() -> list[Cpus]:
    """Return one CPU for the function and the rest for all else, and two, which all share if there are no more.

    Raises:
        RuntimeError: There are less than two.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:  # noqa: PLR2004
        msg = f"CPUs: {len(cpus)}, expected two: one for the function, one for the store"
        raise RuntimeError(msg)
    first, both = frozenset(cpus[:1]), frozenset(cpus[:2])
    return [Cpus(first, frozenset(cpus[1:])), Cpus(both, frozenset(cpus[2:]) or both)]


@contextmanager
def started_on(cpus: frozenset[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts meanwhile for all their lives, to those CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
