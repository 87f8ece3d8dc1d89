"""A wire between a client and a server on loopback: it can be cut, and tells who went over it."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Wire", "open_wire"]

_REQUEST = re.compile(rb"(?:^|\r\n)([A-Z]+ /\S*) HTTP/1\.1\r\n")
_ACCESS_KEY = re.compile(rb"Credential=([^/]+)/")


class Wire:
    """Hands bytes on, both ways. Of what clients send, requests and access keys (of AWS's Signature V4) are noted."""

    def __init__(self, target_port: int) -> None:
        self.requests: list[str] = []
        self.access_keys: set[str] = set()
        self.lost = b""
        self._target_port = target_port
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._dead: set[tuple[socket.socket, socket.socket]] = set()
        self._down = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        with self._lock:
            return len(self._pairs)

    def lose(self) -> None:
        """Let all present connections stay open and carry nothing any more; what is sent over them is in `lost`."""
        with self._lock:
            self._dead.update(self._pairs)

    def cut(self) -> None:
        """End all connections, and all that are yet to come, until `mend`."""
        with self._lock:
            self._down = True
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _close(*pair)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._down = False

    def forget(self) -> None:
        """Begin a new list of what was sent."""
        self.requests.clear()
        self.access_keys.clear()

    def close(self) -> None:
        """Take no more connections and end those that there are."""
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._down:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target_port))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink, (client, server)), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        noted = source is pair[0]
        with suppress(OSError):
            while data := source.recv(65536):
                if pair in self._dead:
                    self.lost += data if noted else b""
                    continue
                if noted:
                    self.requests += [found.decode() for found in _REQUEST.findall(data)]
                    self.access_keys |= {found.decode() for found in _ACCESS_KEY.findall(data)}
                sink.sendall(data)
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        _close(*pair)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def open_wire(target_port: int) -> Iterator[Wire]:
    """Lay a wire to a port of this machine."""
    wire = Wire(target_port)
    try:
        yield wire
    finally:
        wire.close()
