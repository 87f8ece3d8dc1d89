"""Opens one session, runs it on a golden, and prints as JSON what that took. A script: it imports nothing of ours.

`python measured.py JSON`: an object of what `benchmarks.opening.trials` asks for.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_WARM_RUNS = 7


def main(trial: dict[str, Any]) -> dict[str, float]:
    """Return seconds and bytes."""
    os.sched_setaffinity(0, trial["cpus"])
    goldens = np.load(trial["goldens"])
    feeds = {name: goldens[f"0.input.{i}"] for i, name in enumerate(trial["inputs"])}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(trial["cpus"])
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for key, value in {"session.intra_op.allow_spinning": "0", **trial["config"]}.items():
        options.add_session_config_entry(key, value)
    if not trial["optimises"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # what is to be in memory is there, as a transfer would have left it
    weights = np.fromfile(trial["weights"], np.uint8) if trial["weights"] else None
    model = Path(trial["model"])
    source = model.read_bytes() if trial["from_bytes"] else str(model)
    cpu_s, start = time.process_time(), time.perf_counter()
    if weights is not None:
        name = Path(trial["weights"]).name
        options.add_external_initializers_from_files_in_memory([name], [weights], [weights.nbytes])
    session = onnxruntime.InferenceSession(
        source, options, providers=["CPUExecutionProvider"], disabled_optimizers=trial["disabled_optimizers"]
    )
    figures = {"open_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu_s}
    start = time.perf_counter()
    answers = session.run(list(trial["tolerance"]), feeds)
    figures |= {
        "first_s": time.perf_counter() - start,
        "peak_bytes": _status_bytes("VmHWM"),
        "anonymous_bytes": _status_bytes("RssAnon"),
    }
    for i, (name, allowed) in enumerate(trial["tolerance"].items()):
        off = np.abs(answers[i].reshape(-1)[:: trial["stride"]] - goldens[f"0.output.{i}"]).max()
        if not off <= allowed:  # a fast wrong answer is no result
            sys.exit(f"output {name!r}: {off:.3g} from its golden, expected at most {allowed:.3g}")
    runs_s = []
    for _ in range(1 + _WARM_RUNS):
        start = time.perf_counter()
        session.run(None, feeds)
        runs_s.append(time.perf_counter() - start)
    return figures | {"second_s": runs_s[0], "warm_s": sorted(runs_s[1:])[_WARM_RUNS // 2]}


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # nothing that the session holds need be given back
