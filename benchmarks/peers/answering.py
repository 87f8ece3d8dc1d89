"""How long a server takes from the start of its process to its first answer."""

import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.catalogue import Peer
from benchmarks.peers.processes import ServerProcess
from benchmarks.warm.invocation import Request

__all__ = ["await_answer", "first_answer_s"]

_PAUSE_S = 0.002
_TIMEOUT_S = 120.0


def first_answer_s(
    peer: Peer, model_file: Path, request: Request, threads: int, cpus: Sequence[int]
) -> tuple[float, dict[str, Any]]:
    """Return how many seconds a peer takes from its start to its first answer with 200, and that answer.

    Args:
        peer: Which.
        model_file: An ONNX file on a local disk.
        request: To `/v2/models/{model}/infer`, tensors in JSON.
        threads: Of one run of the model.
        cpus: Which all its processes may use.

    Raises:
        RuntimeError: It did not answer; the message ends with what it printed.
    """
    start = time.perf_counter()
    with peer.serving(model_file, request.path.split("/")[3], threads, cpus) as server:
        answer = await_answer(server, request)
        return time.perf_counter() - start, answer


def await_answer(server: ServerProcess, request: Request) -> dict[str, Any]:
    """Ask a server again and again until it answers with 200, and return what it answers.

    Raises:
        RuntimeError: It did not; the message ends with what it printed.
    """
    end = time.monotonic() + _TIMEOUT_S
    found = "no answer"
    while time.monotonic() < end:
        server.check()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            found = repr(error)
        else:
            if response.status == http.HTTPStatus.OK:
                answer: dict[str, Any] = json.loads(body)
                return answer
            found = f"{response.status} {body[:500]!r}"
        finally:
            connection.close()
        time.sleep(_PAUSE_S)
    msg = f"{server.process.args!r}: {found} after {_TIMEOUT_S:.0f} s, expected 200\n{server.log.read_text()[-4000:]}"
    raise RuntimeError(msg)
