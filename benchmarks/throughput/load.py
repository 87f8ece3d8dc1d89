"""The load: requests over several kept-alive connections, each sent when the one before it is answered.

A process of its own, `python -m benchmarks.throughput.load`, that does nothing else: sockets, epoll, no HTTP library.
Specification from stdin, result to stdout, both JSON. Every answer is kept, to be checked when the clock has stopped.
"""

import select
import socket
import sys
import time
from collections import deque

import msgspec

__all__ = ["Load", "LoadResult"]

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


class Load(msgspec.Struct, frozen=True):
    """What to send, and for how long.

    Attributes:
        port: On 127.0.0.1.
        path: Of the requests.
        bodies: Of the requests, in turn; JSON.
        connections: How many.
        warm_up_s: Seconds before anything counts.
        duration_s: Seconds that count.
    """

    port: int
    path: str
    bodies: list[str]
    connections: int
    warm_up_s: float
    duration_s: float


class LoadResult(msgspec.Struct, frozen=True):
    """How it went.

    Attributes:
        sent: Requests that were answered, those that did not count included.
        duration_s: Seconds that counted.
        latencies_ms: From the first byte sent to the last one received, of each request that counted.
        answers: By number of the body, the different answers to it, those that did not count included.
        busy: What part of the time the load's process itself was at work: above a half, it may be what is measured.
    """

    sent: int
    duration_s: float
    latencies_ms: list[float]
    answers: list[set[str]]
    busy: float


class _Connection:
    """One connection, and the request that is under way on it."""

    def __init__(self, load: Load, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", load.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = deque(enumerate(_request(load, body) for body in load.bodies))
        self._requests.rotate(number)
        self._received = b""
        self._expected = 0

    def send(self) -> None:
        self._received, self._expected = b"", 0
        self._requests.rotate(-1)
        self.body, request = self._requests[0]
        self.sent_s = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Take what has come; return the answer's body when all of it is there."""
        piece = self.socket.recv(65536)
        if not piece:
            msg = f"connection: closed after {self._received!r}, expected an answer"
            raise RuntimeError(msg)
        self._received += piece
        if not self._expected:
            head, end, _ = self._received.partition(_END)
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 200"):
                msg = f"answer: {self._received[:500]!r}, expected 200"
                raise RuntimeError(msg)
            _, _, length = head.lower().partition(_LENGTH)
            self._expected = len(head) + len(_END) + int(length.partition(b"\r")[0])
        if len(self._received) < self._expected:
            return None
        return self._received.partition(_END)[2]


def _request(load: Load, body: str) -> bytes:
    data = body.encode()
    head = f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def _apply(load: Load) -> LoadResult:
    connections = [_Connection(load, number) for number in range(load.connections)]
    by_file = {connection.socket.fileno(): connection for connection in connections}
    poll = select.epoll()
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    latencies_ms: list[float] = []
    answers: list[set[bytes]] = [set() for _ in load.bodies]
    start = time.perf_counter() + load.warm_up_s
    end = start + load.duration_s
    for connection in connections:
        connection.send()
    sent, now, busy_s = 0, 0.0, 0.0
    while now < end:
        if now < start:
            busy_s = time.process_time()
        for file, _ in poll.poll():
            connection = by_file[file]
            answer = connection.receive()
            if answer is not None:
                now = time.perf_counter()
                if now >= start:
                    latencies_ms.append((now - connection.sent_s) * 1000)
                sent += 1
                answers[connection.body].add(answer)
                connection.send()
    duration_s = now - start
    busy = (time.process_time() - busy_s) / duration_s
    texts = [{answer.decode() for answer in found} for found in answers]
    return LoadResult(sent, duration_s, latencies_ms, texts, busy)


if __name__ == "__main__":
    result = _apply(msgspec.json.decode(sys.stdin.buffer.read(), type=Load))
    sys.stdout.buffer.write(msgspec.json.encode(result))
