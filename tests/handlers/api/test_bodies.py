import asyncio
import gzip
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from starlette.requests import Request

from handlers.api.bodies import read_body
from tests.handlers.api.conftest import MAX_BODY_BYTES
from tests.handlers.api.gateway import Gateway, infer_body, tensor

PATH = "/v2/models/affine/infer"
SMALL = json.dumps(infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))).encode()


def test_a_body_of_the_largest_size_is_taken(gateway: Gateway) -> None:
    body = SMALL.ljust(MAX_BODY_BYTES)

    assert gateway.send("POST", PATH, body).status == 200
    assert gateway.stream(PATH, [body]).status == 200


def test_a_body_that_says_it_is_larger_is_refused(gateway: Gateway) -> None:
    answer = gateway.send("POST", PATH, SMALL.ljust(MAX_BODY_BYTES + 1))

    assert answer.status == 413
    assert answer.body["error"] == f"body: {MAX_BODY_BYTES + 1} bytes, expected at most {MAX_BODY_BYTES}"


@pytest.mark.parametrize("claimed", ["0", "", "much", "-1", "²"])
def test_a_body_that_says_something_else_and_is_larger_is_refused(gateway: Gateway, claimed: str) -> None:
    answer = gateway.send("POST", PATH, SMALL.ljust(MAX_BODY_BYTES + 1), headers={"Content-Length": claimed})

    assert answer.status == 413
    assert answer.body["error"] == f"body: more than {MAX_BODY_BYTES} bytes, expected at most {MAX_BODY_BYTES}"


def test_a_body_that_is_larger_and_says_nothing_is_refused_as_soon_as_it_is_seen(gateway: Gateway) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(100_000)
            yield b" " * 100_000

    answer = gateway.stream(PATH, endless())

    assert answer.status == 413
    assert answer.body["error"] == f"body: more than {MAX_BODY_BYTES} bytes, expected at most {MAX_BODY_BYTES}"
    assert sum(sent) == MAX_BODY_BYTES + 100_000


def test_a_body_in_many_chunks_is_put_together(gateway: Gateway) -> None:
    answer = gateway.stream(PATH, [SMALL[start : start + 7] for start in range(0, len(SMALL), 7)])

    assert answer.status == 200
    assert answer.body["outputs"][0]["data"] == [1, 3, 5]


@pytest.mark.parametrize("claimed", ["9" * 18, "9" * 30, "9" * 5000])
def test_a_length_of_any_size_is_a_number(gateway: Gateway, claimed: str) -> None:
    answer = gateway.send("POST", PATH, SMALL, headers={"Content-Length": claimed})

    assert answer.status == 413
    assert len(answer.body["error"]) < 100


def test_a_body_is_refused_for_its_size_whatever_the_model(gateway: Gateway) -> None:
    assert gateway.send("POST", "/v2/models/unknown/infer", b" " * (MAX_BODY_BYTES + 1)).status == 413


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP", " x-gzip "])
def test_a_compressed_body_is_decompressed(gateway: Gateway, encoding: str) -> None:
    body = (zlib if encoding == "deflate" else gzip).compress(SMALL)

    answer = gateway.send("POST", PATH, body, headers={"Content-Encoding": encoding})

    assert (answer.status, answer.body["outputs"][0]["data"]) == (200, [1, 3, 5])


@pytest.mark.parametrize("encoding", ["identity", ""])
def test_a_body_that_says_that_it_is_not_compressed_is_taken_as_it_is(gateway: Gateway, encoding: str) -> None:
    assert gateway.send("POST", PATH, SMALL, headers={"Content-Encoding": encoding}).status == 200


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x" * 1000])
def test_another_encoding_is_refused(gateway: Gateway, encoding: str) -> None:
    answer = gateway.send("POST", PATH, SMALL, headers={"Content-Encoding": encoding})

    assert answer.status == 415
    assert answer.body["error"] == f"content encoding: {encoding[:80]!r}, expected one of: identity, gzip, deflate"


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_of_the_largest_size_is_decompressed_and_a_byte_more_is_not(gateway: Gateway, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    sizes = (MAX_BODY_BYTES, MAX_BODY_BYTES + 1)
    taken, refused = (
        gateway.send("POST", PATH, COMPRESS[encoding](SMALL.ljust(size)), headers=headers) for size in sizes
    )

    assert (taken.status, refused.status) == (200, 413)
    assert refused.body["error"] == (
        f"body: more than {MAX_BODY_BYTES} bytes when decompressed, expected at most {MAX_BODY_BYTES}"
    )


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_bomb_takes_no_more_memory_than_the_largest_body(gateway: Gateway, encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(300 * MAX_BODY_BYTES))
    assert len(bomb) < MAX_BODY_BYTES

    tracemalloc.start()
    answer = gateway.send("POST", PATH, bomb, headers={"Content-Encoding": encoding})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status == 413
    assert peak < 5 * MAX_BODY_BYTES + 5 * len(bomb)


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_body_that_is_not_compressed_as_it_says_is_refused(gateway: Gateway, encoding: str) -> None:
    whole = COMPRESS[encoding](SMALL)
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 0xFF
    for body in (SMALL, b"", whole[:-1], whole[: len(whole) // 2], whole + b"x", whole * 2, bytes(broken)):
        answer = gateway.send("POST", PATH, body, headers={"Content-Encoding": encoding})

        assert answer.status == 400
        assert answer.body["error"].startswith("body: ")
        assert "expected" in answer.body["error"]


def test_any_bytes_that_claim_to_be_compressed_are_refused(gateway: Gateway) -> None:
    chance = random.Random(0)  # noqa: S311 - a test's
    for encoding, compress in COMPRESS.items():
        for _ in range(200):
            body = bytearray(compress(SMALL))
            for _ in range(3):
                body[chance.randrange(len(body))] = chance.randrange(256)
            answer = gateway.send("POST", PATH, bytes(body), headers={"Content-Encoding": encoding})

            assert answer.status in (200, 400)  # some bytes of gzip's header mean nothing


def test_a_body_in_one_piece_is_not_copied() -> None:
    body = bytes(100_000)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "headers": []}, receive)

    assert asyncio.run(read_body(request, MAX_BODY_BYTES)) is body
