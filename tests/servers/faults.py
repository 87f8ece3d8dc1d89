"""A proxy in front of the S3 server that hands everything on byte for byte, until a test arms a fault.

The headers go on unchanged, that of the host included: it is what the client signed, and what the server verifies.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Literal, get_args
from urllib.parse import urlsplit

__all__ = ["FAULTS", "REFUSALS", "Fault", "FaultKind", "FaultyProxy", "refusal", "running_proxy", "scripted"]

FaultKind = Literal[
    "delay",
    "silence",
    "dropped request",
    "lost answer",
    "truncated head",
    "truncated answer",
    "trickle",
    "500",
    "503 SlowDown",
    "409",
    "412",
    "flipped answer",
    "flipped request",
    "scripted",
]

FAULTS: tuple[FaultKind, ...] = tuple(kind for kind in get_args(FaultKind) if kind != "scripted")
"""All but what a test says word for word."""

REFUSALS: dict[FaultKind, tuple[int, str]] = {
    "500": (500, "InternalError"),
    "503 SlowDown": (503, "SlowDown"),
    "409": (409, "ConditionalRequestConflict"),
    "412": (412, "PreconditionFailed"),
}
"""What is answered without handing the request on."""

DELAY_S = 0.1
TRICKLE_PIECES, TRICKLE_PAUSE_S = 10, 0.02


def refusal(status: int, code: str) -> bytes:
    """Return an answer as S3 refuses, at the end of a connection."""
    return scripted(status, f"<Error><Code>{code}</Code><Message>so says the proxy</Message></Error>")


def scripted(status: int, body: str) -> bytes:
    """Return an answer with a body of XML, at the end of a connection."""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@dataclass
class Fault:
    """What happens to some of the requests.

    Attributes:
        kind: What. `delay` holds the answer back for a moment, `silence` for longer than any client waits; both after
            the request was done, as `lost answer`, the truncated ones, `flipped answer` and `trickle` are.
        method: Of which requests: a regular expression for the method.
        key: And one that is found in path and query.
        nth: The first of these requests that is hit.
        times: How many are hit from then on; None: all.
        meanwhile: What happens before the client learns anything.
        answer: What `scripted` answers.
    """

    kind: FaultKind
    method: str = "GET|HEAD|PUT|POST|DELETE"
    key: str = ""
    nth: int = 1
    times: int | None = 1
    meanwhile: Callable[[], object] = lambda: None
    answer: bytes = b""
    met: int = field(default=0, init=False)

    def hits(self, method: str, path: str) -> bool:
        """Count a request if it is one of these, and tell whether it is hit."""
        if not re.fullmatch(self.method, method) or not re.search(self.key, path):
            return False
        self.met += 1
        return self.met >= self.nth and (self.times is None or self.met < self.nth + self.times)


@dataclass
class FaultyProxy:
    """A running proxy: `endpoint` stands for the server's own. `requests`: method and path of all that came."""

    endpoint: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _healed: threading.Event = field(default_factory=threading.Event)

    def arm(self, *faults: Fault) -> None:
        """Let faults happen from now on; of several that hit a request, the first happens."""
        with self._lock:
            self._healed.clear()
            self._faults.extend(faults)

    def heal(self) -> None:
        """Let nothing happen any more."""
        with self._lock:
            self._faults.clear()
            self._healed.set()

    @property
    def hits(self) -> int:
        """How many requests were hit by what is armed."""
        with self._lock:
            return sum(_hits_of(fault) for fault in self._faults)

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Note a request, and return what is to happen to it."""
        with self._lock:
            self.requests.append((method, path))
            hit = [fault for fault in self._faults if fault.hits(method, path)]
        return hit[0] if hit else None

    def await_healing(self) -> None:
        """Wait until nothing happens any more, or the proxy ends."""
        self._healed.wait()


@contextmanager
def running_proxy(endpoint: str) -> Iterator[FaultyProxy]:
    """Run a proxy in front of the server at that URL until the end of the block."""
    upstream = urlsplit(endpoint)
    server = (str(upstream.hostname), int(upstream.port or 80))
    threads: list[threading.Thread] = []
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        port = listening.getsockname()[1]
        proxy = FaultyProxy(f"http://127.0.0.1:{port}")
        ending = threading.Event()

        def accept() -> None:
            while True:
                client, _ = listening.accept()
                if ending.is_set():
                    client.close()
                    return
                clients.append(client)
                threads.append(threading.Thread(target=_serve, args=(proxy, client, server)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield proxy
        finally:
            ending.set()
            proxy.heal()
            socket.create_connection(("127.0.0.1", port)).close()
            accepting.join()
            for client in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _serve(proxy: FaultyProxy, client: socket.socket, server: tuple[str, int]) -> None:
    """Hand requests on, one after the other, until one side ends the connection or a fault does."""
    with contextlib.suppress(OSError), client, socket.create_connection(server) as upstream:
        for end in (client, upstream):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rb") as requests, upstream.makefile("rb") as answers:
            while head := _read_head(requests):
                if _header(head, b"expect"):
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = re.sub(rb"(?im)^expect:.*\r\n", b"", head)
                body = _read_body(requests, head)
                method, path = head.decode("latin-1").split(" ", 2)[:2]
                fault = proxy.take_fault(method, path)

                def ask(head: bytes = head, body: bytes = body, method: str = method) -> tuple[bytes, bytes]:
                    upstream.sendall(head + body)
                    return _read_answer(answers, method)

                if fault is None:
                    client.sendall(b"".join(ask()))
                elif not _fail(proxy, fault, client, ask, (head, body, method)):
                    return


def _fail(
    proxy: FaultyProxy,
    fault: Fault,
    client: socket.socket,
    ask: Callable[..., tuple[bytes, bytes]],
    request: tuple[bytes, bytes, str],
) -> bool:
    """Let a fault happen to a request; return whether the connection goes on."""
    if fault.kind in {"dropped request", "scripted", *REFUSALS}:
        fault.meanwhile()
        client.sendall(refusal(*REFUSALS[fault.kind]) if fault.kind in REFUSALS else fault.answer)
        return False
    head, body, method = request
    answer_head, answer_body = ask(head, _flip(body), method) if fault.kind == "flipped request" else ask()
    fault.meanwhile()
    match fault.kind:
        case "silence":
            proxy.await_healing()
        case "truncated head":
            client.sendall(answer_head.partition(b"\r\n")[0] + b"\r\n")
        case "truncated answer":
            client.sendall(answer_head + answer_body[: len(answer_body) // 2])
        case "trickle":
            whole = answer_head + answer_body
            step = len(whole) // TRICKLE_PIECES + 1
            for start in range(0, len(whole), step):
                client.sendall(whole[start : start + step])
                time.sleep(TRICKLE_PAUSE_S)
        case "delay":
            time.sleep(DELAY_S)
            client.sendall(answer_head + answer_body)
        case "flipped answer":
            client.sendall(answer_head + _flip(answer_body))
        case "flipped request":
            client.sendall(answer_head + answer_body)
    return fault.kind in {"trickle", "delay", "flipped answer", "flipped request"}


def _hits_of(fault: Fault) -> int:
    hits = max(0, fault.met - fault.nth + 1)
    return hits if fault.times is None else min(hits, fault.times)


def _flip(body: bytes) -> bytes:
    """Return the body with one bit of its middle flipped; an empty one as it is."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


def _read_answer(answers: BufferedReader, method: str) -> tuple[bytes, bytes]:
    head = _read_head(answers)
    if not head:
        msg = "the server ended the connection"
        raise ConnectionResetError(msg)
    bodiless = method == "HEAD" or head.split(b" ", 2)[1][:3] in {b"204", b"304"}
    return head, b"" if bodiless else _read_body(answers, head)


def _read_head(reader: BufferedReader) -> bytes:
    """Return a head with the empty line that ends it; nothing at the end of the connection."""
    lines = []
    while line := reader.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _read_body(reader: BufferedReader, head: bytes) -> bytes:
    """Return a body as it is on the wire, in chunks or not."""
    if b"chunked" not in _header(head, b"transfer-encoding"):
        return reader.read(int(_header(head, b"content-length") or 0))
    body = b""
    while True:
        size = reader.readline()
        size_bytes = int(size.partition(b";")[0], 16)
        body += size + reader.read(size_bytes + 2)
        if not size_bytes:
            return body


def _header(head: bytes, name: bytes) -> bytes:
    found = re.search(rb"(?im)^%b:[ \t]*(.*?)\r$" % re.escape(name), head)
    return found[1] if found else b""
