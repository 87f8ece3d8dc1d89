"""How fast variants are, side by side, and how much memory each takes. Needs no torch."""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.errors import GateError
from handlers.registry.manifest import Batching
from handlers.tasks.arrays import Arrays

__all__ = ["MAX_SLOWDOWN", "MemoryUse", "interleaved_medians_ms", "machine_name", "memory_use"]

MAX_SLOWDOWN = 1.1
"""A variant is slower than fp32 if its median is more than this many times fp32's."""

_IMPORTABLE_FROM = Path(__file__).parents[1]


@dataclass(frozen=True)
class MemoryUse:
    """What a model takes: opening it and one run at their peak; one more sample in a run, if axis 0 counts samples."""

    peak_bytes: int
    sample_bytes: int | None


def interleaved_medians_ms(
    runs: Mapping[str, Callable[[], object]], *, budget_s: float = 2.0, at_least: int = 7, at_most: int = 2000
) -> dict[str, float]:
    """Return the median time of each run in milliseconds.

    The runs take turns, in an order drawn by lot each time, so that a machine that slows down for a while slows all of
    them alike. A run that is timed follows one of its own that is not: else whatever comes after PyTorch would find the
    caches full of its data, and its threads still spinning.

    Args:
        runs: What to time, by name.
        budget_s: When to stop, once each has run `at_least` times.
        at_least: Rounds, at the least.
        at_most: Rounds, at the most.
    """
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + budget_s
    for round_number in range(at_most):
        if round_number >= at_least and time.perf_counter() > end:
            break
        for name in random.permutation([*runs]):
            run = runs[name]
            run()
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def machine_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what this machine's CPU calls itself; where Linux does not tell, what Python makes of it."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def memory_use(model: Path, inputs: Arrays, threads: int, batching: Batching | None) -> MemoryUse:
    """Return what opening `model` and one run on `inputs` add to the peak of a fresh process, and what a sample does.

    Args:
        model: An ONNX file.
        inputs: The example.
        threads: Of the session.
        batching: Whether axis 0 counts samples.

    Raises:
        GateError: The process died, for example for want of memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "inputs.npz"
        np.savez(given, allow_pickle=False, **inputs)
        # a program of its own: a fork would measure this process's memory along, and multiprocessing would run the
        # script again that a build may have been called from
        samples = "none" if batching is None else "any" if batching.length is None else "fixed"
        command = [sys.executable, "-m", "export.peak_memory", str(model.resolve()), str(given), str(threads), samples]
        found = subprocess.run(  # noqa: S603 - our own program
            command, cwd=_IMPORTABLE_FROM, capture_output=True, text=True, check=False
        )
    if found.returncode:
        said = (found.stderr.strip().splitlines() or ["it said nothing"])[-1]
        msg = (
            f"{model.name}: the process that measured its memory ended with {found.returncode} ({said}), expected 0; "
            "is there enough?"
        )
        raise GateError(msg)
    return MemoryUse(**json.loads(found.stdout))
