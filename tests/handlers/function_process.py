"""A function in a process of its own, as Lambda starts it: what it answers, and all that it writes.

Started as a program, this module imports the composition root and hands it the events that it reads from stdin.
`run_function` starts it so. The real runtime client comes in tests/test_lambda.py; here, no server stands between.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.handlers.api.gateway import invocation_context

__all__ = ["Run", "run_function"]

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """What the function answered and what it wrote, and what else was found on its streams."""

    answers: list[Json]
    logs: list[Json]
    metrics: list[Json]
    stdout: str
    stderr: str

    @property
    def bodies(self) -> list[Json]:
        """The answers' bodies."""
        return [json.loads(answer["body"]) for answer in self.answers]


def run_function(
    environ: Mapping[str, str],
    events: Sequence[tuple[str, Json]],
    *,
    function: str = "inference",
    crash_with: str | None = None,
) -> Run:
    """Start the function and invoke it with each event, under the request id beside it.

    Args:
        environ: LAMBDASERVE_... settings.
        events: Request ids and events.
        function: Which: the module of its composition root.
        crash_with: Let every model of the inference function raise a KeyError with this message.
    """
    with tempfile.TemporaryDirectory(prefix="lambdaserve-answers-") as folder:
        answers = Path(folder) / "answers.json"
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(answers), function, *([crash_with] if crash_with else [])],
            input=json.dumps(events),
            cwd=ROOT,
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]  # whatever is no JSON is a failure
        return Run(
            answers=json.loads(answers.read_text(encoding="utf-8")),
            logs=[line for line in lines if "_aws" not in line],
            metrics=[line for line in lines if "_aws" in line],
            stdout=done.stdout,
            stderr=done.stderr,
        )


def main(answers: Path, function: str, crash_with: str | None = None) -> None:
    """Answer the events on stdin, into a file: stdout is the function's own."""
    handler = import_module(f"handlers.{function}").handler
    if crash_with:
        handler = _with_faulty_models(crash_with)
    events = json.load(sys.stdin)
    found = [handler(event, invocation_context(request_id)) for request_id, event in events]
    answers.write_text(json.dumps(found), encoding="utf-8")


def _with_faulty_models(message: str) -> Any:  # noqa: ANN401 - Mangum's handlers are untyped to Lambda as well
    from mangum import Mangum

    from handlers import inference
    from handlers.api.app import create_app
    from handlers.api.service import Service
    from tests.handlers.faulty_models import FaultyModels

    models = FaultyModels(inference.settings, inference.telemetry)
    models.await_all(60)
    models.error = KeyError(message)
    service = Service(models, inference.telemetry, inference.settings.max_body_bytes)
    return Mangum(create_app(service), lifespan="off")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
