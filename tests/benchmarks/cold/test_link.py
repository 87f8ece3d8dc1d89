"""The link hands everything on unaltered, late and no faster than S3 does, and says how much it was."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.cold.link import CONNECTION_RATE, FIRST_BYTE_S, Link, Pace, running_link

PATTERN = bytes(range(256)) * 4096  # 1 MiB


class _Sender(socketserver.StreamRequestHandler):
    """Answers each line, a number, with so many bytes of the pattern, over and over."""

    def handle(self) -> None:
        for line in self.rfile:
            left = int(line)
            while left:
                left -= self.request.send(PATTERN[: min(left, len(PATTERN))])


@pytest.fixture
def endpoint() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Sender) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        host, port = server.server_address[:2]
        yield f"http://{host!s}:{port}"
        server.shutdown()


@pytest.fixture
def link(endpoint: str) -> Iterator[Link]:
    with running_link(endpoint) as running:
        yield running


def connect(link: Link) -> socket.socket:
    host, port = link.endpoint.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def ask(connection: socket.socket, size_bytes: int) -> bytes:
    connection.sendall(b"%d\n" % size_bytes)
    received = bytearray(size_bytes)
    view = memoryview(received)
    while view:
        view = view[connection.recv_into(view) :]
    return bytes(received)


def test_bytes_arrive_unaltered_and_counted(link: Link) -> None:
    sizes = [1, 300_000, len(PATTERN)]
    with connect(link) as connection:
        for size in sizes:
            assert ask(connection, size) == PATTERN[:size]
        assert link.take_count() == sum(sizes)
        ask(connection, 5)
    assert link.take_count() == 5
    assert link.take_count() == 0


def test_each_answer_on_a_connection_is_late_and_no_faster_than_the_rate(link: Link) -> None:
    with connect(link) as connection:
        for size in (1, 1, len(PATTERN)):
            begin = time.perf_counter()
            ask(connection, size)
            least_s = FIRST_BYTE_S + size / CONNECTION_RATE
            assert time.perf_counter() - begin > 0.9 * least_s  # a machine that is busy can only be slower


def test_connections_share_the_rate_of_the_link(endpoint: str) -> None:
    count, size, rate = (
        4,
        len(PATTERN),
        5e6,
    )  # so low that connections by themselves would be done in a tenth of the time
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        link = stack.enter_context(running_link(endpoint, rate))
        connections = [stack.enter_context(connect(link)) for _ in range(count)]
        begin = time.perf_counter()
        answers = list(pool.map(ask, connections, [size] * count))
        taken_s = time.perf_counter() - begin
    assert all(answer == PATTERN for answer in answers)
    assert taken_s > 0.9 * count * size / rate


def test_a_client_that_leaves_or_a_server_that_closes_ends_a_connection_only(link: Link) -> None:
    with connect(link) as gone:
        gone.sendall(b"%d\n" % (64 * len(PATTERN)))
        gone.recv(1)
    with connect(link) as half:
        half.sendall(b"3\n")
        half.shutdown(socket.SHUT_WR)
        assert half.recv(3, socket.MSG_WAITALL) == PATTERN[:3]
        assert half.recv(1) == b""
    with connect(link) as connection:
        assert ask(connection, 4) == PATTERN[:4]


def test_what_keeps_to_a_pace_arrives_in_its_time_and_time_that_passed_is_not_saved_up() -> None:
    pace = Pace(100.0)
    assert pace.take(50, not_before=10.0) == 10.5
    assert pace.take(50, not_before=10.0) == 11.0
    assert pace.take(100, not_before=20.0) == 21.0
