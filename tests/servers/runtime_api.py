"""Lambda's Runtime API over a socket, in SnapStart's order, for the unmodified runtime client.

The Runtime Interface Emulator knows nothing of snapshots. Here the client initialises, runs its hooks and asks
`restore/next`: that is where Lambda takes the snapshot. It gets its answer when the test restores it, and then asks for
invocations. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html describes the paths; those of restoring are
as awslambdaric calls them.
"""

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.lambda_runtime import lambda_variables

__all__ = ["Report", "SnapshottedFunction", "running_snapshot"]

Json = dict[str, Any]
_RUNTIME = "/2018-06-01/runtime"
_FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:inference:current"
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Report:
    """What the client said of a failed init or restore."""

    where: str
    kind: str
    message: str


@dataclass
class _Exchange:
    """What goes back and forth between the test and the client."""

    asked_to_restore: threading.Event = field(default_factory=threading.Event)
    restored: threading.Event = field(default_factory=threading.Event)
    invocations: "queue.Queue[Json | None]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[Json]" = field(default_factory=queue.Queue)
    reports: list[Report] = field(default_factory=list)


class SnapshottedFunction:
    """A function that Lambda takes a snapshot of before its first invocation."""

    def __init__(self, exchange: _Exchange, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._exchange = exchange
        self._process = process
        self._log = log

    @property
    def reports(self) -> list[Report]:
        """The errors of init and restore that were reported."""
        return self._exchange.reports

    def await_snapshot(self) -> None:
        """Return when the function is ready for the snapshot."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not self._exchange.asked_to_restore.wait(0.05):
            ended = self._process.poll() is not None
            assert not ended, f"{self.reports}\n{self._log.read_text(encoding='utf-8')}"
            assert time.monotonic() < deadline, self._log.read_text(encoding="utf-8")

    def restore(self) -> None:
        """Let the function go on, as in a new environment."""
        self._exchange.restored.set()

    def invoke(self, event: Mapping[str, Any]) -> Json:
        """Hand an event to the function and return its answer to API Gateway."""
        self._exchange.invocations.put(dict(event))
        return self._exchange.answers.get(timeout=_TIMEOUT_S)

    def await_end(self) -> int:
        """Return the exit code, once the process has ended."""
        return self._process.wait(_TIMEOUT_S)

    def log_lines(self) -> list[Json]:
        """Return what the function has printed so far: its JSON lines, logs and metrics."""
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def running_snapshot(
    package: Path, python: Path, environ: Mapping[str, str], *, runtime_client: Path | None = None
) -> Iterator[SnapshottedFunction]:
    """Start the function in `package` under SnapStart; arguments are those of `running_function`."""
    exchange = _Exchange()
    with ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lambda-"))) / "log"
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(exchange))
        stack.callback(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        variables = lambda_variables(package, runtime_client) | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        }
        output = stack.enter_context(log.open("wb"))
        process = subprocess.Popen(
            [str(python), "-m", "awslambdaric", "handlers.inference.handler"],
            cwd=package,
            env=variables | dict(environ),
            stdout=output,
            stderr=output,
        )
        stack.callback(_stop, process, exchange)
        yield SnapshottedFunction(exchange, process, log)


def _stop(process: "subprocess.Popen[bytes]", exchange: _Exchange) -> None:
    process.kill()
    process.wait()
    exchange.restored.set()  # threads of the server that still wait have nobody to answer
    exchange.invocations.put(None)


def _handler(exchange: _Exchange) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one segment: the second of two waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            if self.path == f"{_RUNTIME}/restore/next":
                exchange.asked_to_restore.set()
                exchange.restored.wait()
                self._answer(200)
            elif self.path == f"{_RUNTIME}/invocation/next":
                event = exchange.invocations.get()
                headers = {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": os.urandom(8).hex(),
                    "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 29_000),
                    "Lambda-Runtime-Invoked-Function-Arn": _FUNCTION_ARN,
                }
                self._answer(200, json.dumps(event).encode(), headers)
            else:
                self._answer(404)

        def do_POST(self) -> None:
            said: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            where = self.path.removeprefix(f"{_RUNTIME}/")
            if where in {"init/error", "restore/error"}:
                kind = self.headers["Lambda-Runtime-Function-Error-Type"]
                exchange.reports.append(Report(where, kind, said["errorMessage"]))
            else:
                exchange.answers.put(said)  # an answer, or the error of an invocation
            self._answer(202)

        def _answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
            try:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the function is gone
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
