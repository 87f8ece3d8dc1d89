"""One connection to S3: a request goes out, an answer comes in, its body straight into the memory it is meant for.

HTTP/1.1 (RFC 9112) as far as a GET needs it. `http.client` would do, but takes 15 ms to import, before the first byte
is asked for: it reads headers with a parser for mail.
"""

import re
import socket
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

__all__ = ["BrokenAnswer", "Connection", "Head", "Timeouts", "connect"]

_HEAD_BYTES = 64 * 1024
_FIRST_BYTES = 8 * 1024  # what of a body comes along with the head is copied
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |$)")
_FRAMING = {"content-length", "transfer-encoding"}
_LAST_CHUNK = b"0\r\n\r\n"


class BrokenAnswer(Exception):
    """What came is no HTTP, or not all of it came."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for a connection, and for the next byte on it (not for a whole body)."""

    connect_s: float = 3.0
    read_s: float = 10.0


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer, the names in lower case."""

    status: int
    headers: dict[str, str]
    keeps_alive: bool

    @property
    def body_bytes(self) -> int | None:
        """How long the body is, None where the headers do not say."""
        length = self.headers.get("content-length")
        if length is None or "transfer-encoding" in self.headers:
            return None
        if not (length.isascii() and length.isdecimal() and len(length) <= 18):  # noqa: PLR2004 - of 8 bytes
            msg = f"Content-Length {length[:80]!r}, expected a number"
            raise BrokenAnswer(msg)
        return int(length)


class Connection:
    """One connection. Not safe to use from several threads at once.

    All that it does raises `OSError` (`TimeoutError` where nothing came for too long) or `BrokenAnswer`; it is of no
    use after that.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._close = weakref.finalize(self, connected.close)  # a store has no end: its connections go with it
        self._ahead = memoryview(b"")  # of the body, received together with the head

    def close(self) -> None:
        """End it."""
        self._close()

    def ask(self, request: bytes) -> Head:
        """Send a request and return the head of the answer; the body, if any, is to be received next."""
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            if len(received) > _HEAD_BYTES:
                msg = f"more than {_HEAD_BYTES} bytes of headers"
                raise BrokenAnswer(msg)
            more = self._socket.recv(_FIRST_BYTES)
            if not more:
                msg = f"connection closed after {len(received)} bytes of headers"
                raise ConnectionResetError(msg)
            received += more
            if not _STATUS.match(received) and len(received) >= 13:  # noqa: PLR2004 - "HTTP/1.1 200 "
                msg = f"{bytes(received[:40])!r}, no HTTP"
                raise BrokenAnswer(msg)
        self._ahead = memoryview(received)[end + 4 :]
        return _parse(bytes(received[:end]))

    def receive_into(self, target: memoryview) -> None:
        """Fill `target` with what comes next of the body."""
        filled = min(len(self._ahead), len(target))
        target[:filled] = self._ahead[:filled]
        self._ahead = self._ahead[filled:]
        while filled < len(target):
            count = self._socket.recv_into(target[filled:])
            if not count:
                msg = f"connection closed {len(target) - filled} bytes before the end of the body"
                raise BrokenAnswer(msg)
            filled += count

    def receive_text(self, head: Head, most_bytes: int) -> bytes:
        """Return the body, in chunks or not, or what comes of it; of a larger one than `most_bytes` the beginning."""
        chunked = "transfer-encoding" in head.headers
        whole_bytes = head.body_bytes
        body = bytearray(self._ahead)
        limit = most_bytes if whole_bytes is None else min(whole_bytes, most_bytes)
        while len(body) < limit and not (chunked and body.endswith(_LAST_CHUNK)):
            more = self._socket.recv(_FIRST_BYTES)
            if not more:
                break
            body += more
        complete = body.endswith(_LAST_CHUNK) if chunked else len(body) == whole_bytes
        # what is neither all of the body nor no more than it is still to come, or came unasked
        self._ahead = memoryview(b"" if complete else b"?")
        return _without_chunks(bytes(body)) if chunked else bytes(body[:limit])

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing came that was not asked for."""
        return not self._ahead


def connect(host: str, port: int, tls: "ssl.SSLContext | None", timeouts: Timeouts) -> Connection:
    """Return a new connection. Raises `OSError`; `ssl.SSLCertVerificationError` is one."""
    connected = socket.create_connection((host, port), timeouts.connect_s)
    try:
        if tls is not None:
            connected = tls.wrap_socket(connected, server_hostname=host)
        connected.settimeout(timeouts.read_s)
    except BaseException:
        connected.close()
        raise
    return Connection(connected)


def _parse(head: bytes) -> Head:
    first, *lines = head.split(b"\r\n")
    found = _STATUS.match(first)
    if found is None:
        msg = f"{first[:40]!r}, no HTTP"
        raise BrokenAnswer(msg)
    headers: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.decode("latin-1").partition(":")
        name, value = name.lower(), value.strip()
        if not separator or (name in _FRAMING and headers.get(name, value) != value):
            msg = f"header {line[:80]!r}, expected a name and a value, and one length"
            raise BrokenAnswer(msg)
        headers[name] = value
    keeps_alive = found[1] == b"1" and "close" not in headers.get("connection", "").lower()
    return Head(int(found[2]), headers, keeps_alive)


def _without_chunks(raw: bytes) -> bytes:
    """Return the content of a chunked body (RFC 9112, 7.1), as far as it is one."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        try:
            size_bytes = int(size.partition(b";")[0], 16)
        except ValueError:
            break
        body += raw[:size_bytes]
        raw = raw[size_bytes + 2 :]
    return body
