"""How much memory there is, and how to give back what is not needed any more."""

import gc
import os
from pathlib import Path

__all__ = ["machine_memory_bytes", "release_memory"]

_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where a container finds its own limit: control groups of version 2, and of version 1."""


def machine_memory_bytes(cgroups: Path = _CGROUPS) -> int:
    """Return the machine's memory, or what the container that this runs in may take of it."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            text = (cgroups / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # "max": no limit
            sizes.append(int(text))
    return min(sizes)


def release_memory() -> None:
    """Give the memory of what was dropped back to the system.

    Without it nothing comes back: glibc keeps what a session has freed (four times 61 MB of weights, opened and dropped
    one after the other, left 279 MB resident; with it, 75). Takes some tens of milliseconds.
    """
    import ctypes  # for this alone, and never on a cold start

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none, and no need
    if trim is not None:
        trim(0)
