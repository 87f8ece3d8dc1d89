"""Who is measured: each starts a fresh process, hands it the request of a case, and returns the first answer.

A contender is a name and a function; to add one, write such a function and list it. Servers, which do not run under
Lambda's runtime, are in `servers.py`.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cold.cases import Case, Outputs
from benchmarks.cold.cpus import Cpus, started_on
from benchmarks.cold.floor_plan import write_plan
from benchmarks.cold.packages import BUILT, Packages
from benchmarks.cold.shelf import Shelf
from tests.interpreters import ROOT
from tests.servers.lambda_runtime import running_function

__all__ = [
    "BARE",
    "COMPILED",
    "FLOOR",
    "FLOOR_CLIENT",
    "FLOOR_STARLETTE",
    "OURS",
    "PACKAGED",
    "RUNTIME_CLIENT",
    "Conditions",
    "Contender",
    "FirstAnswer",
    "lambda_contenders",
    "to_outputs",
]

OURS = "lambdaserve"
FLOOR = "floor"
FLOOR_CLIENT = "floor under awslambdaric"
FLOOR_STARLETTE = "floor, Starlette for FastAPI"
BARE = "(a) plain handler, no bytecode"
COMPILED = "(a) plain handler, bytecode"
PACKAGED = "(b) model in the package"

RUNTIME_CLIENT = ROOT / ".venv-runtime"


@dataclass(frozen=True)
class FirstAnswer:
    """What a cold start came to. None: not known.

    Attributes:
        seconds: From the invocation, which starts the process, to the answer.
        cpu_seconds: What the process has computed by then: less than `seconds` where it waits, more on two CPUs.
        outputs: The answer.
        peak_bytes: The most memory that the process had resident by then.
        fetched_bytes: What went over the link by then, headers included.
    """

    seconds: float
    cpu_seconds: float | None
    outputs: Outputs
    peak_bytes: int | None
    fetched_bytes: int | None


@dataclass(frozen=True)
class Conditions:
    """Under which all contenders start.

    Attributes:
        cpus: Which CPUs they have.
        shelf: Where the models are.
        python: The interpreter of Lambda.
        packages: Of the references.
        folder: A place for files, gone at the end.
    """

    cpus: Cpus
    shelf: Shelf
    python: Path
    packages: Packages
    folder: Path


@dataclass(frozen=True)
class Contender:
    """A name, and what starts it anew for a case."""

    name: str
    start: Callable[[Case], FirstAnswer]


def lambda_contenders(conditions: Conditions, cases: Sequence[Case]) -> list[Contender]:
    """Return all that run under Lambda's runtime: ours, the floors, the references."""
    shelf, packages = conditions.shelf, conditions.packages
    plans = {case.name: write_plan(conditions.folder, case, shelf, conditions.cpus.count) for case in cases}
    with_model = {
        case.name: packages.with_model(case.name, [case.artifact / file for file in case.variant.files])
        for case in cases
    }

    def ours(case: Case) -> FirstAnswer:
        environ = shelf.environment | {"LAMBDASERVE_STORE": shelf.url, "LAMBDASERVE_MODELS": case.name}
        return _invoke(conditions, case, BUILT, environ)

    def floor(
        case: Case, web: str = "fastapi mangum", command: Sequence[str] | None = ("-c", "import floor; floor.main()")
    ) -> FirstAnswer:
        environ = {
            "PYTHONPATH": f"{packages.programs}:{packages.compiled}:{RUNTIME_CLIENT}",
            "FLOOR_PLAN": str(plans[case.name]),
            "FLOOR_WEB": web,
        }
        return _invoke(conditions, case, packages.compiled, environ, handler="floor.handler", command=command)

    def plain(case: Case, package: Path) -> FirstAnswer:
        environ = {
            "MODEL_BUCKET": shelf.bucket,
            "MODEL_KEYS": " ".join(shelf.key(case, file) for file in case.variant.files),
            "MODEL_FILE": str(conditions.folder / case.variant.file),
        }
        return _invoke(conditions, case, package, shelf.environment | environ, handler="plain_handler.handler")

    def packaged(case: Case) -> FirstAnswer:
        package = with_model[case.name]
        environ = shelf.environment | {"MODEL_FILE": str(package / case.variant.file)}
        return _invoke(conditions, case, package, environ, handler="plain_handler.handler")

    return [
        Contender(OURS, ours),
        Contender(FLOOR, floor),
        Contender(FLOOR_CLIENT, lambda case: floor(case, command=None)),
        Contender(FLOOR_STARLETTE, lambda case: floor(case, "starlette.applications mangum")),
        Contender(BARE, lambda case: plain(case, packages.bare)),
        Contender(COMPILED, lambda case: plain(case, packages.compiled)),
        Contender(PACKAGED, packaged),
    ]


def _invoke(  # noqa: PLR0913 - what a function is made of
    conditions: Conditions,
    case: Case,
    package: Path,
    environ: Mapping[str, str],
    *,
    handler: str = "handlers.inference.handler",
    command: Sequence[str] | None = None,
) -> FirstAnswer:
    # no bytecode appears in a package that is measured without
    environ = {"PYTHONDONTWRITEBYTECODE": "1", **environ}
    link = conditions.shelf.link
    with ExitStack() as stack:
        with started_on(conditions.cpus.function):
            function = stack.enter_context(
                running_function(
                    package,
                    conditions.python,
                    environ,
                    runtime_client=RUNTIME_CLIENT,
                    handler=handler,
                    command=command,
                    memory_mb=conditions.cpus.memory_mb,
                )
            )
        link.take_count()
        begin = time.perf_counter()
        answer = function.invoke(case.event)
        seconds = time.perf_counter() - begin
        fetched = link.take_count()
        if answer.get("statusCode") != 200:  # noqa: PLR2004 - OK
            msg = (
                f"{handler}, {case.name}: {str(answer)[:2000]}, expected status 200\n{function.log.read_text()[-4000:]}"
            )
            raise RuntimeError(msg)
        process = Path("/proc") / str(function.process_id())
        return FirstAnswer(seconds, _cpu_seconds(process), _outputs(answer), _peak_bytes(process), fetched)


def _outputs(answer: Mapping[str, Any]) -> Outputs:
    body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
    return to_outputs(json.loads(body))


def to_outputs(answer: Mapping[str, Any]) -> Outputs:
    """Return the arrays of an answer of the Open Inference Protocol, all tensors in JSON."""
    return {tensor["name"]: np.array(tensor["data"]) for tensor in answer["outputs"]}


def _cpu_seconds(process: Path) -> float:
    """Return user and system time, fields 14 and 15 of proc(5)'s stat; the second, a name, may hold blanks."""
    fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(process: Path) -> int:
    status = (process / "status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
