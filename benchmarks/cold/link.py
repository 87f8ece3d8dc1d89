"""The link between a function and S3, shaped: a TCP proxy that answers late and lets no more through than S3 does.

15 ms to the first byte of each answer, 75 MB/s per connection, 300 MB/s for all together: what a function sees of S3.
Handshakes cost what loopback takes: neither their round trips nor TLS is in.

A process of its own, as it must not compete for an interpreter with what measures: `python -m benchmarks.cold.link
HOST PORT TOTAL_RATE` prints the port that it listens on; for each line that it reads it prints how many bytes have gone
to clients, and counts anew; it ends with its input. The bytes of answers never enter this program: the kernel moves
them from socket to pipe to socket. Linux only.
"""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["CONNECTION_RATE", "FIRST_BYTE_S", "TOTAL_RATE", "Link", "running_link"]

CONNECTION_RATE, TOTAL_RATE = 75e6, 300e6
"""Bytes per second."""

FIRST_BYTE_S = 0.015

_CHUNK_BYTES = 256 * 1024  # 3.5 ms of a connection: little beside what is measured, much beside what a call costs
_REQUEST_BYTES = 64 * 1024
_CREDIT_S = 0.002  # how late a wake-up may be before its lateness is lost to the rate


class Pace:
    """When bytes may arrive, so that they keep to a rate. Safe for threads."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, size_bytes: int, not_before: float) -> float:
        """Return when the last of that many bytes arrives, the first of which sets out at `not_before` or later."""
        with self._lock:
            self._free_at = max(self._free_at, not_before) + size_bytes / self._rate
            return self._free_at


@dataclass
class _Traffic:
    """What all connections share: the rate of the link and how much has gone over it."""

    pace: Pace
    lock: threading.Lock = field(default_factory=threading.Lock)
    sent_bytes: int = 0

    def count(self, size_bytes: int) -> None:
        with self.lock:
            self.sent_bytes += size_bytes

    def take_count(self) -> int:
        with self.lock:
            sent, self.sent_bytes = self.sent_bytes, 0
        return sent


class _Connection:
    """A client's connection and the one to the server that belongs to it: a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket, traffic: _Traffic) -> None:
        self._client, self._server, self._traffic = client, server, traffic
        self._pace = Pace(CONNECTION_RATE)
        self._asked_at: float | None = None  # when the request went out whose answer has not begun
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for run in (self._ask, self._answer):
            threading.Thread(target=run, daemon=True).start()

    def _ask(self) -> None:
        """Hand requests on at once, and note when."""
        with contextlib.suppress(OSError):
            while request := self._client.recv(_REQUEST_BYTES):
                self._asked_at = time.monotonic()
                self._server.sendall(request)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _answer(self) -> None:
        """Hand answers on, the first byte of each late, all of them at the rate of the link."""
        outlet, inlet = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, 4 * _CHUNK_BYTES)
            first = 0.0
            while size_bytes := os.splice(self._server.fileno(), inlet, _CHUNK_BYTES):
                if self._asked_at is not None:
                    first, self._asked_at = self._asked_at + FIRST_BYTE_S, None
                begin = max(first, time.monotonic() - _CREDIT_S)
                arrival = max(pace.take(size_bytes, begin) for pace in (self._pace, self._traffic.pace))
                time.sleep(max(0.0, arrival - time.monotonic()))
                self._traffic.count(size_bytes)  # before they go: who has an answer finds all of it counted
                while size_bytes:
                    size_bytes -= os.splice(outlet, self._client.fileno(), size_bytes)
        for end in (outlet, inlet):
            os.close(end)
        for connection in (self._client, self._server):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes the other thread
            connection.close()


def main(host: str, port: str, total_rate: str) -> None:
    """Listen until the input ends."""
    traffic = _Traffic(Pace(float(total_rate)))
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            _Connection(client, socket.create_connection((host, int(port))), traffic)

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        print(traffic.take_count(), flush=True)


@dataclass(frozen=True)
class Link:
    """A running link; `endpoint` stands for the server's own."""

    endpoint: str
    process: "subprocess.Popen[str]"

    def take_count(self) -> int:
        """Return how many bytes have gone to clients since this was last asked, headers of answers included."""
        assert self.process.stdin is not None  # noqa: S101 - it has pipes
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def running_link(endpoint: str, total_rate: float = TOTAL_RATE) -> Iterator[Link]:
    """Start a link to the server at that URL, with a rate for all connections; it is gone at the end."""
    server = urlsplit(endpoint)
    command = [sys.executable, __file__, str(server.hostname), str(server.port), str(total_rate)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    assert process.stdin is not None  # noqa: S101 - it has pipes
    assert process.stdout is not None  # noqa: S101
    try:
        yield Link(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
