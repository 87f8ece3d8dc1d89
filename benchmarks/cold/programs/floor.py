"""The floor: what a cold start takes of physics, Python and onnxruntime, with nothing of ours in it.

The interpreter, then the longer of the imports and of the bytes on their way, then the session, the goldens and one
run. The bytes come in parallel ranges, by requests that were signed beforehand, straight into memory that the session
reads; each part is hashed when its last byte is there. `main` speaks Lambda's Runtime API itself; `handler` is for
awslambdaric. FLOOR_PLAN names the file with the plan that `benchmarks.cold.floor_plan` writes, FLOOR_WEB the
modules that face the web.
"""

import os
import socket
import threading
from hashlib import sha256
from json import dumps, loads
from typing import Any

with open(os.environ["FLOOR_PLAN"], "rb") as _file:  # noqa: PTH123 - pathlib costs milliseconds
    PLAN = loads(_file.read())

_HEADER_BYTES = 2048


class Arrival:
    """A file that is on its way into memory, which has a path too."""

    def __init__(self, file: dict[str, Any]) -> None:
        from mmap import mmap

        self._file = file
        size = file["size"]
        descriptor = os.memfd_create(file["name"])
        os.truncate(descriptor, size)
        self.path = f"/proc/self/fd/{descriptor}"
        self._memory = memoryview(mmap(descriptor, size))
        self._part_bytes = file["part_bytes"]
        self._missing = [min(self._part_bytes, size - start) for start in range(0, size, self._part_bytes)]
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._fetch, args=each, daemon=True) for each in file["ranges"]]
        self._right = 0
        for thread in self._threads:
            thread.start()

    def _fetch(self, start: int, end: int) -> None:
        connection = socket.create_connection((PLAN["host"], PLAN["port"]))
        connection.sendall(f"{self._file['request']}Range: bytes={start}-{end - 1}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(_HEADER_BYTES)
        head, _, body = head.partition(b"\r\n\r\n")
        if b" 206 " not in head[:20]:
            raise OSError(head)
        self._memory[start : start + len(body)] = body
        here = start + len(body)
        begun = start
        while begun < end:
            part = begun // self._part_bytes
            stop = min(end, (part + 1) * self._part_bytes)
            while here < stop:
                # one call for all of it: each return to Python waits for its turn while the others import
                here += connection.recv_into(self._memory[here:stop], stop - here, socket.MSG_WAITALL)
            self._land(part, stop - begun)
            begun = stop
        connection.close()

    def _land(self, part: int, size: int) -> None:
        with self._lock:
            self._missing[part] -= size
            complete = not self._missing[part]
        if complete:
            first = part * self._part_bytes
            found = sha256(self._memory[first : first + self._part_bytes]).hexdigest()
            with self._lock:
                self._right += found == self._file["parts"][part]

    def wait(self) -> str:
        """Return the path of the file when all of it is there and right."""
        for thread in self._threads:
            thread.join()
        if self._right != len(self._missing):
            raise OSError(self._file["name"])
        return self.path


ARRIVALS = [Arrival(file) for file in PLAN["files"]]

import numpy as np  # noqa: E402 - imported while the bytes arrive
import onnxruntime  # noqa: E402

for _module in os.environ["FLOOR_WEB"].split():
    __import__(_module)


def open_session(path: str) -> onnxruntime.InferenceSession:
    """Open the model with the settings of the plan."""
    settings = PLAN["settings"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = PLAN["threads"]
    options.inter_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, settings["level"])
    for key, value in settings["entries"].items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(
        path,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=settings["disabled_optimizers"],
    )


def check_goldens(session: onnxruntime.InferenceSession, path: str) -> None:
    """Raise if an answer is not PyTorch's."""
    with np.load(path) as goldens:
        for i in range(PLAN["count"]):
            given = {name: goldens[f"{i}.input.{j}"] for j, name in enumerate(PLAN["inputs"])}
            for j, found in enumerate(session.run(PLAN["outputs"], given)):
                kept = found.reshape(-1)[:: PLAN["stride"]]
                if not np.abs(kept - goldens[f"{i}.output.{j}"]).max() <= PLAN["tolerances"][j]:
                    raise ValueError(PLAN["outputs"][j])


MODEL, GOLDENS = (arrival.wait() for arrival in ARRIVALS)
SESSION = open_session(MODEL)
check_goldens(SESSION, GOLDENS)


def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
    """Answer API Gateway's event."""
    from base64 import b64decode

    dtypes = {"FP32": np.float32, "INT64": np.int64, "INT32": np.int32}
    given = {
        tensor["name"]: np.array(tensor["data"], dtypes[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in loads(b64decode(event["body"]))["inputs"]
    }
    results = zip(PLAN["outputs"], SESSION.run(PLAN["outputs"], given), strict=True)
    outputs = [{"name": name, "shape": array.shape, "data": array.ravel().tolist()} for name, array in results]
    return {"statusCode": 200, "body": dumps({"outputs": outputs}), "isBase64Encoded": False}


def main() -> None:
    """Answer what the Runtime API hands out, in HTTP/1.0, which knows no chunks: no awslambdaric, no HTTP client."""
    invocation = "/2018-06-01/runtime/invocation"
    while True:
        headers, event = _exchange(f"GET {invocation}/next", b"")
        answer = dumps(handler(loads(event), None)).encode()
        _exchange(f"POST {invocation}/{headers['lambda-runtime-aws-request-id']}/response", answer)


def _exchange(request: str, body: bytes) -> tuple[dict[str, str], bytes]:
    host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as answer:
        connection.sendall(f"{request} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = iter(lambda: answer.readline().strip(), b"")
        next(head)  # the status
        pairs = (line.decode().partition(":") for line in head)
        return {name.lower(): value.strip() for name, _, value in pairs}, answer.read()
