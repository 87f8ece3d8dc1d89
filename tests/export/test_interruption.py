"""A build that is interrupted leaves nothing behind, in the output folder or beside it."""

import io
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from export import Evaluation, ModelSource
from export.build import build
from export.progress import Advance, Progress
from tests.export.command import command, environment
from tests.export.conftest import Built
from tests.export.sources import OPTIONS, contents, mlp, normal, silent, source_of

STEPS = ["Asking PyTorch", "Converting to ONNX", "Quantising", "Timing", "Measuring memory"]


class Interrupting(Progress):
    """Ctrl-C at the end of a step, when all that it writes is written."""

    def __init__(self, step: str) -> None:
        super().__init__(Console(file=io.StringIO()))
        self._when = step

    @contextmanager
    def step(self, description: str, total: int | None = None) -> Iterator[Advance]:
        with super().step(description, total) as advance:
            yield advance
        if description == self._when:
            raise KeyboardInterrupt


def some_source() -> ModelSource:
    return source_of(mlp(4, 3), calibration=[{"x": normal(2, 4, seed=i)} for i in range(2)])


@pytest.mark.parametrize("step", STEPS)
def test_interrupted_build_leaves_nothing(step: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(some_source(), tmp_path / "artifact", OPTIONS, Interrupting(step))
    assert list(tmp_path.iterdir()) == []


def test_build_interrupted_by_its_source_leaves_nothing(tmp_path: Path) -> None:
    def data() -> Iterator[dict[str, object]]:
        yield {"x": normal(2, 4)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(source_of(mlp(4, 3), calibration=data()), tmp_path / "artifact", OPTIONS, silent())
    assert list(tmp_path.iterdir()) == []


def test_interrupted_build_leaves_an_older_artifact_as_it_was(small: Built, tmp_path: Path) -> None:
    out = Path(shutil.copytree(small.folder, tmp_path / "artifact"))
    with pytest.raises(KeyboardInterrupt):
        build(some_source(), out, OPTIONS, Interrupting(STEPS[-1]))
    assert contents(out) == contents(small.folder)
    assert list(tmp_path.iterdir()) == [out]


def test_older_artifact_is_replaced_by_a_build_that_ends_well(small: Built, tmp_path: Path) -> None:
    out = Path(shutil.copytree(small.folder, tmp_path / "artifact"))
    source = source_of(mlp(4, 3), name="other", evaluation=Evaluation([({"x": normal(2, 4)}, None)]))
    assert build(source, out, OPTIONS, silent()).model == "other"
    assert b'"model": "other"' in (out / "manifest.json").read_bytes()
    assert list(tmp_path.iterdir()) == [out]


SLOW_SOURCE = """
import signal
import time
from pathlib import Path
import numpy as np
import torch
from export import Evaluation, ModelSource

signal.signal(signal.SIGINT, signal.default_int_handler)  # though whoever started the tests may ignore it
calls = []

def slow_metric(outputs, target):
    calls.append(1)
    if len(calls) == 2:  # the first is PyTorch's own score, the second that of the ONNX file: it is written by now
        Path("half-way").touch()
        time.sleep(60)
    return 1.0

def source():
    batch = {"x": np.zeros((1, 4), np.float32)}, np.zeros(1)
    net = torch.nn.Linear(4, 3)
    return ModelSource("tiny", net, {"x": torch.zeros(1, 4)}, ["y"], evaluation=Evaluation([batch], slow_metric))
"""


def test_ctrl_c_in_the_middle_ends_the_command_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW_SOURCE)
    out = tmp_path / "builds" / "artifact"
    process = subprocess.Popen(
        command("build", "slow.py:source", "--out", out, torch=True),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (tmp_path / "half-way").exists() and process.poll() is None:
            time.sleep(0.02)
        half = [path.name for path in out.parent.rglob("*")]
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert "fp32.onnx" in half, stderr
    assert process.returncode == 1
    assert stdout == ""
    assert "Traceback" not in stderr
    assert list(out.parent.iterdir()) == []
