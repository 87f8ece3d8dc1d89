"""How much memory a request takes from handler entry to answer, beyond the event that Lambda has handed over.

In a process of its own: what earlier measurements have left to reuse would hide it.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.warm.invocation import Answer, Invoker, binary_request
from benchmarks.warm.service import make_app

__all__ = ["tensor_cost"]

_SIDE = 592  # [1, 3, 592, 592] FP32 is 4.2 MB, about the most that one request to Lambda may bring


def tensor_cost(store_url: str) -> float:
    """Return how many times its own size a 4 MB binary tensor takes at most while it is answered."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, store_url], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    found: float = json.loads(done.stdout.splitlines()[-1])
    return found


def main(store_url: str) -> None:
    """Measure and print the ratio."""
    app, _ = make_app(store_url)
    invoke = Invoker(app)
    random = np.random.default_rng(0)
    small, large = (
        binary_request("mean", "x", random.random((1, 3, side, side), np.float32)).event() for side in (8, _SIDE)
    )
    for _ in range(20):
        Answer(invoke(small))
    _reset_peak()
    before = _status_bytes("VmRSS")
    answer = invoke(large)
    peak = _status_bytes("VmHWM")
    Answer(answer)
    print(json.dumps((peak - before) / (_SIDE * _SIDE * 3 * 4)))


def _reset_peak() -> None:
    """Let the kernel count the peak of resident memory from here on: proc(5), clear_refs."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


if __name__ == "__main__":
    main(sys.argv[1])
