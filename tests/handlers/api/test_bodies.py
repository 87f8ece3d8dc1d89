import json
from collections.abc import Iterator

import pytest

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
