"""What the same imports and the same session, opened from a local file, have resident at their peak."""

import os
import subprocess

from benchmarks.cold.cases import Case
from benchmarks.cold.contenders import RUNTIME_CLIENT, Conditions
from benchmarks.cold.cpus import started_on
from benchmarks.cold.packages import BUILT

__all__ = ["reference_peak_bytes"]


def reference_peak_bytes(conditions: Conditions, case: Case) -> int:
    """Measure a process of its own: see `programs/imports.py`.

    Raises:
        RuntimeError: It failed; the message says why.
    """
    cpus, shelf = conditions.cpus, conditions.shelf
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{conditions.packages.programs}:{BUILT}:{RUNTIME_CLIENT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "inference",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(cpus.memory_mb),
        "LAMBDASERVE_STORE": shelf.empty_url,
    }
    model = case.artifact / case.variant.file
    command = [str(conditions.python), "-c", "import imports", str(model), str(cpus.count)]
    with started_on(cpus.function):
        done = subprocess.run(command, env=environ | shelf.environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        msg = f"{case.name}: the reference of memory failed, expected a figure\n{done.stderr[-4000:]}"
        raise RuntimeError(msg)
    return int(done.stdout.split()[-1])
