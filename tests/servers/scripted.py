"""A server that says what a test wants it to, byte for byte, and then hangs up, breaks off, or falls silent."""

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Saying", "ScriptedServer", "running_script"]


@dataclass(frozen=True)
class Saying:
    """What to send to one request, and what to do next."""

    data: bytes
    then: Literal["listen", "close", "reset", "be silent"] = "listen"


@dataclass
class ScriptedServer:
    """Gives the next of `sayings` to each request; where there is none it closes the connection."""

    port: int
    sayings: deque[Saying] = field(default_factory=deque)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def running_script(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server on loopback until the end of the block."""
    end = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ScriptedServer(listening.getsockname()[1])

        def accept() -> None:
            while True:
                connection, _ = listening.accept()
                if end.is_set():
                    connection.close()
                    return
                server.connections += 1
                threads.append(threading.Thread(target=_serve, args=(server, connection, tls, end)))
                threads[-1].start()

        threads.append(threading.Thread(target=accept))
        threads[-1].start()
        try:
            yield server
        finally:
            end.set()
            socket.create_connection(("127.0.0.1", server.port)).close()
            for thread in threads:
                thread.join()


def _serve(server: ScriptedServer, connection: socket.socket, tls: ssl.SSLContext | None, end: threading.Event) -> None:
    try:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        connection.settimeout(0.05)
        while (request := _request(connection, end)) and server.sayings:
            saying = server.sayings.popleft()
            server.requests.append(request)
            connection.sendall(saying.data)
            if saying.then == "be silent":
                end.wait()
            if saying.then == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if saying.then != "listen":
                return
    except OSError:
        pass  # the other side has gone
    finally:
        connection.close()


def _request(connection: socket.socket, end: threading.Event) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\n") and not end.is_set():
        try:
            more = connection.recv(65536)
        except TimeoutError:
            continue
        if not more:
            return b""
        received += more
    return received
