"""What is dropped is given back: models of tens of megabytes that take turns, in a process with a limit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from export.measure import memory_use
from handlers.memory import machine_memory_bytes
from tests.artifacts import publish_graphs
from tests.graphs import dense
from tests.interpreters import ROOT

MB = 2**20
WIDTH, LAYERS, MODELS = 2048, 2, 40
WEIGHTS = 4 * LAYERS * WIDTH**2  # 32 MB

ROTATE = f"""
WIDTH, MODELS = {WIDTH}, {MODELS}
"""
ROTATE += """
import io, json, resource, sys, threading
from pathlib import Path
import numpy as np
import onnxruntime
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry

def memory(what):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024

url, scratch, budget, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
threading.stack_size(256 * 1024)  # stacks count, and are 8 MB each otherwise
before = memory("VmRSS")
resource.setrlimit(resource.RLIMIT_DATA, (memory("VmData") + limit, memory("VmData") + limit))
settings = Settings(store_url=url, scratch_dir=scratch, threads=1, model_memory_bytes=budget or None)
models = Models(settings, Telemetry("ERROR", log_stream=io.StringIO(), emit_metrics=False))
models.await_all(60)
x = np.ones((1, WIDTH), np.float32)
grown = []
for turn in range(3):
    for number in range(MODELS):
        model = models.await_model(f"m{number}", None, 60)
        assert np.allclose(model.session.run({"x": x})["y"], 1, atol=1e-3)
        del model
    grown.append(memory("VmRSS") - before)
print(json.dumps({"peak": memory("VmHWM") - before, "grown": grown, "loaded": len(models.loaded)}))
"""


def rotate(url: str, scratch: Path, budget: int, limit: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ROTATE, url, str(scratch), str(budget), str(limit)],
        cwd=ROOT,
        # one heap for all threads: those that threads keep for themselves count against the limit when they are empty
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_models_that_take_turns_stay_within_their_budget(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    example = {"x": np.ones((1, WIDTH), np.float32)}
    graph = dense(WIDTH, LAYERS)
    (tmp_path / "graph.onnx").write_bytes(graph.SerializeToString())
    peak = memory_use(tmp_path / "graph.onnx", example, 1, None).peak_bytes
    assert peak >= WEIGHTS
    for number in range(MODELS):
        publish_graphs(url, f"m{number}", {"fp32": graph}, [example], memory={"fp32": (peak, None)})
    budget = peak * 5 // 2  # two of them, and no third
    limit = budget + 250 * MB  # of addresses: parts of files on their way, threads, what is freed and kept
    assert limit < MODELS * peak

    done = rotate(url, tmp_path, budget, limit)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["loaded"] == 2
    assert found["peak"] <= budget + 100 * MB  # resident, imports included
    assert max(found["grown"]) - min(found["grown"]) < WEIGHTS  # nothing piles up
    assert rotate(url, tmp_path, 0, limit).returncode != 0  # and the limit is one


def test_a_container_is_not_given_the_machines_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    whole = machine_memory_bytes(tmp_path)
    assert whole > 64 * MB

    (tmp_path / "memory.max").write_text(f"{64 * MB}\n", encoding="ascii")
    assert machine_memory_bytes(tmp_path) == 64 * MB

    (tmp_path / "memory.max").unlink()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{32 * MB}\n", encoding="ascii")
    assert machine_memory_bytes(tmp_path) == 32 * MB
