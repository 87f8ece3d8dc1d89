"""Prints how many bytes opening a model and one run add to the peak memory of this process; see `export.measure`."""

import resource
import sys
from pathlib import Path

import numpy as np

from handlers.runtime.session import Session


def main(model: str, inputs: str, threads: str) -> None:
    """Open the model in one file, run it on the arrays in another, and print what that added."""
    with np.load(inputs, allow_pickle=False) as file:
        given = {name: file[name] for name in file.files}
    before = _peak_bytes()
    Session(Path(model), threads=int(threads)).run(given)
    sys.stdout.write(f"{_peak_bytes() - before}\n")


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        # not getrusage(): on Linux its peak survives exec, so it would be the parent's
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    main(*sys.argv[1:])
