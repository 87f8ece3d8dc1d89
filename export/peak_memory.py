"""Prints what opening a model and one run add to the peak memory of this process, and what one more sample does.

`export.measure` starts it.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from handlers.memory import release_memory
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

_ENOUGH_BYTES = 8 * 1024 * 1024  # that more samples add: below, pages and spare room in the allocator are what is seen
_ENOUGH_S = 1.0  # of a run
_MOST_INPUT_BYTES = 64 * 1024 * 1024


def main(model: str, inputs: str, threads: str, samples: str) -> None:
    """Open the model in one file, run it on the arrays in another, and print what that added.

    Args:
        model: Path of an ONNX file.
        inputs: Path of an `.npz` file.
        threads: Of the session.
        samples: "any" or "fixed", where axis 0 counts samples, of which the model takes any number or just as many as
            these inputs are; "none" where it does not.
    """
    with np.load(inputs, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    before = _memory_bytes("VmHWM")
    session = Session(Path(model), threads=int(threads))
    release_memory()
    opened = _memory_bytes("VmRSS")
    outputs = session.run(given)
    peak = _memory_bytes("VmHWM") - before
    sample = None
    if samples != "none":
        travelling = sum(value.nbytes for value in [*given.values(), *outputs.values()]) / _length(given)
        added = (_memory_bytes("VmRSS") - opened) / _length(given) if samples == "fixed" else _added(session, given)
        sample = max(1, round(max(travelling, added)))
    sys.stdout.write(json.dumps({"peak_bytes": peak, "sample_bytes": sample}) + "\n")


def _added(session: Session, given: Arrays) -> float:
    """Return what one more sample adds to a run in bytes: of many more, as soon as they add enough to be seen."""
    release_memory()
    before = _memory_bytes("VmRSS")
    length = _length(given)
    added = 0.0
    # what earlier, smaller runs took stays with the session: of a run of eight times the size, an eighth at the most
    for more in (8, 64, 512, 4096):
        indices = np.arange(length + more) % length
        batch = {name: value[indices] for name, value in given.items()}
        batch_bytes = sum(value.nbytes for value in batch.values())
        if added and batch_bytes > _MOST_INPUT_BYTES:
            break
        start = time.perf_counter()
        outputs = session.run(batch)
        taken_s = time.perf_counter() - start
        grown = _memory_bytes("VmRSS") - before - batch_bytes
        del outputs
        added = max(0.0, grown / more)
        if grown > _ENOUGH_BYTES or taken_s > _ENOUGH_S:
            break
    return added


def _length(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _memory_bytes(what: str) -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # not getrusage(): on Linux its peak survives exec, so it would be the parent's
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith(what))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, and the peak alone


if __name__ == "__main__":
    main(*sys.argv[1:])
