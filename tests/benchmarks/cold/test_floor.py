"""The floor gives right answers through the link, and refuses bytes that are not those of the plan."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cold.cases import Case
from benchmarks.cold.floor_plan import FloorSettings, write_plan
from benchmarks.cold.shelf import Shelf, running_shelf

PROGRAMS = Path(__file__).parents[3] / "benchmarks" / "cold" / "programs"
ASK = "import floor, json, sys; print(json.dumps(floor.handler(json.load(sys.stdin), None)))"


@pytest.fixture(scope="module")
def shelf(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with running_shelf(tmp_path_factory.mktemp("shelf"), [case]) as running:
        yield running


def run_floor(plan: Path, case: Case) -> "subprocess.CompletedProcess[str]":
    environ = {
        "FLOOR_PLAN": str(plan),
        "FLOOR_WEB": "mangum",
        "PYTHONPATH": str(PROGRAMS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", ASK],
        env=environ,
        input=json.dumps(case.event),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "settings", [FloorSettings(), FloorSettings("published", "ORT_ENABLE_ALL", {})], ids=["fastest", "published"]
)
def test_the_floor_answers_right(shelf: Shelf, case: Case, tmp_path: Path, settings: FloorSettings) -> None:
    shelf.link.take_count()
    done = run_floor(write_plan(tmp_path, case, shelf, 1, settings), case)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(json.loads(done.stdout)["body"])["outputs"]
    case.check("floor", {tensor["name"]: np.array(tensor["data"]) for tensor in outputs})
    assert shelf.link.take_count() > case.needed_bytes * 0.9


def test_the_floor_refuses_bytes_with_another_hash(shelf: Shelf, case: Case, tmp_path: Path) -> None:
    path = write_plan(tmp_path, case, shelf, 1)
    plan = json.loads(path.read_text(encoding="utf-8"))
    plan["files"][0]["parts"][0] = "0" * 64
    path.write_text(json.dumps(plan), encoding="utf-8")
    done = run_floor(path, case)
    assert done.returncode == 1
    assert "OSError" in done.stderr
