"""Payloads that a request names: fetched, checked, and every way in which that can fail, each for real."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest

from handlers.clock import Deadline
from handlers.errors import (
    DeadlineExceeded,
    InsufficientMemory,
    InvalidInput,
    InvalidSetting,
    LambdaserveError,
    NotSupported,
    PayloadNotFound,
    PayloadTooLarge,
    StoreUnavailable,
)
from handlers.payloads.identity import PayloadId
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer
from tests.handlers.payloads.buckets import Recorder, Room, sha256, upload

DATA = b"forty-two bytes of no particular meaning.\n"
MEBIBYTE = 1 << 20


def transfer(payloads: Payloads, seconds_left: float = 60) -> Transfer:
    deadline = Deadline(time.monotonic() + seconds_left)
    return Transfer(payloads, lambda: deadline.left_s)


def uploaded(payloads: Payloads, data: bytes) -> str:
    given = payloads.issue(len(data), sha256(data))
    assert upload(given, data).status_code == 200
    return str(given.payload)


@pytest.mark.parametrize("size", [1, 8 * MEBIBYTE - 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1, 20 * MEBIBYTE])
def test_what_was_uploaded_arrives(room: Room, recorder: Recorder, size: int) -> None:
    payloads = room.open(observer=recorder)
    data = np.random.default_rng(size).bytes(size)

    [found] = transfer(payloads).receive([uploaded(payloads, data)])

    assert found == data
    assert (recorder.issued, recorder.received, recorder.sent, recorder.failures) == (1, 1, 0, [])


def test_who_has_no_deadline_waits(room: Room) -> None:
    payloads = room.open()

    assert Transfer(payloads).receive([uploaded(payloads, DATA)]) == [DATA]


def test_several_arrive_in_their_order_and_one_that_is_named_twice_is_fetched_once(
    room: Room, recorder: Recorder
) -> None:
    payloads = room.open(observer=recorder)
    first, second = uploaded(payloads, DATA), uploaded(payloads, DATA[::-1])

    found = transfer(payloads).receive([second, first, second])

    assert found == [DATA[::-1], DATA, DATA[::-1]]
    assert recorder.received == 2


def test_what_is_sent_can_be_downloaded_and_named_in_the_next_request(room: Room, recorder: Recorder) -> None:
    payloads = room.open(observer=recorder)

    sent = transfer(payloads).send(DATA)

    assert (sent.payload.size, sent.payload.sha256) == (len(DATA), sha256(DATA))
    assert httpx.get(sent.url, trust_env=False).content == DATA
    assert transfer(payloads).receive([str(sent.payload)]) == [DATA]
    assert (recorder.issued, recorder.received, recorder.sent) == (0, 1, 1)


def test_without_a_bucket_nothing_works_and_the_setting_is_named() -> None:
    payloads = Payloads()
    refusal = r"^payloads: no bucket .*, expected the setting LAMBDASERVE_PAYLOADS "

    with pytest.raises(NotSupported, match=refusal):
        payloads.issue(1, "0" * 64)
    with pytest.raises(NotSupported, match=refusal):
        transfer(payloads).receive(["x"])
    with pytest.raises(NotSupported, match=refusal):
        transfer(payloads).send(b"x")


def test_what_was_not_uploaded_or_has_expired_is_not_found(room: Room) -> None:
    payloads = room.open()
    never = str(payloads.issue(len(DATA), sha256(DATA)).payload)
    expired = uploaded(payloads, DATA)
    room.delete(expired)

    for payload in (never, expired):
        with pytest.raises(PayloadNotFound, match=rf"^payload {payload[:32]}: nothing stored .*, expected an upload "):
            transfer(payloads).receive([payload])


@pytest.mark.parametrize("stored", [DATA[:-1], DATA + b"!", b""])
def test_another_size_than_the_id_says_is_refused(room: Room, stored: bytes) -> None:
    # S3 lets nobody upload it; were it there all the same, the service checks for itself
    payload = str(PayloadId.new(len(DATA), sha256(DATA)))
    room.put(payload, stored)

    with pytest.raises(InvalidInput, match=rf": {len(stored)} bytes stored, expected {len(DATA)} as its id says"):
        transfer(room.open()).receive([payload])


@pytest.mark.parametrize("size", [len(DATA), 9 * MEBIBYTE])
def test_other_bytes_than_the_id_says_are_refused(room: Room, size: int) -> None:
    data = DATA * (size // len(DATA))
    payload = str(PayloadId.new(len(data), sha256(data)))
    other = data[:-1] + b"!"
    room.put(payload, other)

    with pytest.raises(InvalidInput, match=rf"with sha256 {sha256(other)}, expected {sha256(data)} as its id says"):
        transfer(room.open()).receive([payload])


def test_more_than_is_allowed_is_refused_and_nothing_asked_for(room: Room, recorder: Recorder) -> None:
    payloads = room.open(max_bytes=100, observer=recorder)
    half = str(PayloadId.new(51, "0" * 64))

    with pytest.raises(PayloadTooLarge, match=r"^payload: 101 bytes, expected at most 100"):
        payloads.issue(101, "0" * 64)
    with pytest.raises(PayloadTooLarge, match=r"^payload: 102 bytes, expected at most 100"):
        transfer(payloads).receive([half, half])
    with pytest.raises(PayloadTooLarge, match=r"^payload: 101 bytes, expected at most 100"):
        transfer(payloads).send(b"x" * 101)
    with pytest.raises(InvalidInput, match=r"^payloads: 257, expected at most 256 in a request"):
        transfer(payloads).receive([str(PayloadId.new(1, "0" * 64))] * 257)
    assert recorder == Recorder()
    assert room.keys() == []


def test_all_that_a_request_names_counts_together(room: Room) -> None:
    payloads = room.open(max_bytes=100)
    one = uploaded(payloads, DATA)
    request = transfer(payloads)
    request.receive([one])
    request.receive([one])

    with pytest.raises(PayloadTooLarge, match=r"^payload: 126 bytes, expected at most 100"):
        request.receive([one])


def test_more_than_memory_holds_is_refused_and_nothing_asked_for(room: Room, recorder: Recorder) -> None:
    payloads = room.open(observer=recorder)
    first, second = uploaded(payloads, DATA), uploaded(payloads, DATA[::-1])
    asked: list[int] = []

    def make_room(least_bytes: int) -> int:
        asked.append(least_bytes)
        return 2 * len(DATA) - 1

    request = Transfer(payloads, make_room=make_room)

    assert request.receive([first, first]) == [DATA, DATA]  # one that is named twice is kept once
    with pytest.raises(
        InsufficientMemory, match=r"^payloads: 84 bytes, expected at most 83, which models leave of memory; send less "
    ):
        request.receive([second])
    assert asked == [42, 84]
    assert recorder.received == 1


def test_the_time_that_is_left_may_become_less_after_the_request_is_read(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        left_s = 60.0
        request = Transfer(room.open(), lambda: left_s)
        left_s = 0.2

        with pytest.raises(DeadlineExceeded, match=r"^payload: still on its way, "):
            request.receive([str(PayloadId.new(1, "0" * 64))])


def attempts(payloads: Payloads, payload: str) -> Iterator[LambdaserveError]:
    """Yield how reading and writing fail."""
    for call in (lambda: transfer(payloads).receive([payload]), lambda: transfer(payloads).send(DATA)):
        with pytest.raises(LambdaserveError) as refusal:
            call()
        yield refusal.value


def test_refused_access_is_unavailable_without_names(
    room: Room, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = uploaded(room.open(), DATA)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    key_id = room.server.environment["AWS_ACCESS_KEY_ID"]

    for error in attempts(room.open(observer=recorder), payload):
        assert isinstance(error, StoreUnavailable)
        assert str(error).startswith("payload bucket: SignatureDoesNotMatch (HTTP 403), expected an answer to ")
        assert not any(name in str(error) for name in (payload[:32], room.bucket, room.prefix, key_id))
    assert len(recorder.failures) == 2


def test_a_bucket_that_is_not_there_is_unavailable(room: Room, recorder: Recorder) -> None:
    payloads = Payloads("s3://no-such-bucket/payloads", 1000, recorder)

    for error in attempts(payloads, str(PayloadId.new(1, "0" * 64))):
        assert isinstance(error, StoreUnavailable)
        assert "NoSuchBucket (HTTP 404)" in str(error)
    assert len(recorder.failures) == 2
    assert room.keys() == []


def test_a_store_out_of_reach_is_unavailable(room: Room, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free.getsockname()[1]}")
    payload = str(PayloadId.new(1, "0" * 64))

    for error in attempts(room.open(observer=recorder), payload):
        assert isinstance(error, StoreUnavailable)
        assert "EndpointConnectionError" in str(error)
        assert payload not in str(error)
    assert len(recorder.failures) == 2


def test_a_store_that_does_not_answer_in_time_is_a_missed_deadline(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        payloads = room.open()

        with pytest.raises(DeadlineExceeded, match=r"^payload: still on its way, expected it within the time "):
            transfer(payloads, 0.2).receive([str(PayloadId.new(1, "0" * 64))])
        with pytest.raises(DeadlineExceeded):
            transfer(payloads, 0.2).send(DATA)


@contextmanager
def lying_server(size: int) -> Iterator[str]:
    """An S3 API that promises a whole payload and hangs up after half of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(206)
            self.send_header("Content-Length", str(size))
            self.send_header("Content-Range", f"bytes 0-{size - 1}/{size}")
            self.end_headers()
            self.wfile.write(b"x" * (size // 2))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_answer_that_is_cut_short_is_unavailable(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with lying_server(1000) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

        with pytest.raises(StoreUnavailable, match=r"^payload bucket: \w+, expected an answer to GetObject; try again"):
            transfer(room.open()).receive([str(PayloadId.new(1000, sha256(b"x" * 1000)))])


def test_without_credentials_nothing_is_signed(
    room: Room, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")

    with pytest.raises(StoreUnavailable, match=r"^payload bucket: NoCredentialsError, expected "):
        room.open(observer=recorder).issue(1, "0" * 64)
    assert len(recorder.failures) == 1


def test_an_url_or_aws_settings_that_make_no_sense_are_refused(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match="expected s3://bucket"):
        Payloads("file:///folder", 1000).issue(1, "0" * 64)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no address")
    with pytest.raises(InvalidSetting, match=r"^AWS settings: ValueError, expected "):
        room.open().issue(1, "0" * 64)
