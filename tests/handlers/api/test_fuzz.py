"""Whatever is sent, the answer is below 500 and says why. `make fuzz` is a long run."""

import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers.tasks.datatypes import NUMPY_TYPES
from tests.handlers.api.conftest import MAX_BODY_BYTES
from tests.handlers.api.gateway import Answer, Gateway, binary_tensor, infer_body, tensor
from tests.handlers.api.watch import EXAMPLES

FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODELS = ["affine", "pair", "gather", "scalar", "cube", *(f"identity-{name.lower()}" for name in NUMPY_TYPES)]
VALID = {
    "affine": infer_body(tensor("x", "FP32", [1, 3], [0, 1.5, None]), id="1", outputs=[{"name": "y"}]),
    "pair": infer_body(tensor("a", "FP32", [1, 2], [[3, 4]]), tensor("b", "FP32", [1, 2], [1, 1]), parameters={"p": 1}),
    "gather": infer_body(tensor("index", "INT64", [2], [0, 2])),
    "cube": infer_body(tensor("x", "FP32", [1, 2, 1], [[[1], [2]]])),
    "identity-bytes": infer_body(tensor("x", "BYTES", [2, 1], [["a"], ["ä\u0000"]])),
    "identity-uint64": infer_body(tensor("x", "UINT64", [1, 2], [0, 2**64 - 1])),
    "identity-fp16": infer_body(tensor("x", "FP16", [2, 1], [0.5, -65504])),
}
BINARY: dict[str, tuple[Any, bytes]] = {
    "affine": (infer_body(binary_tensor("x", "FP32", [1, 3], 12), id="1", outputs=[{"name": "y"}]), bytes(12)),
    "pair": (
        infer_body(tensor("b", "FP32", [1, 2], [1, 1]), binary_tensor("a", "FP32", [1, 2], 8), parameters={"p": 1}),
        bytes(8),
    ),
    "gather": (infer_body(binary_tensor("index", "INT64", [2], 16)), bytes([0, *[0] * 7, 2, *[0] * 7])),
    "cube": (infer_body(binary_tensor("x", "FP32", [1, 2, 1], 8), parameters={"binary_data_output": True}), bytes(8)),
    "identity-bytes": (infer_body(binary_tensor("x", "BYTES", [2, 1], 11)), b"\1\0\0\0a\2\0\0\0\xc3\xa4"),
    "identity-bool": (infer_body(binary_tensor("x", "BOOL", [2, 1], 2), parameters={"timeout": 60_000_000}), b"\1\0"),
    "identity-bf16": (
        infer_body(
            binary_tensor("x", "BF16", [2, 1], 4),
            outputs=[{"name": "y", "parameters": {"binary_data": True, "classification": 1}}],
        ),
        b"\x80\x3f\xc0\x7f",
    ),
}


@pytest.fixture(scope="module")
def gateway(fuzzed: Gateway) -> Gateway:
    """For all tests of this module: the gateway that counts cases and times them."""
    return fuzzed


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**4299]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*NUMPY_TYPES, "x", "y", "a", "\ud800"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "inputs", "id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    """Return the way to every place in a JSON document."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, inner in steps for place in paths(inner, (*path, step)))]


def with_value(document: Any, path: tuple[Any, ...], value: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a copy of the document with another value in one place."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = with_value(document[path[0]], path[1:], value)
    return copy


@st.composite
def mutated_values(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request that was valid until one to three places in it got another value."""
    model = draw(st.sampled_from(sorted(VALID)))
    document: Any = VALID[model]
    for _ in range(draw(st.integers(1, 3))):
        document = with_value(document, draw(st.sampled_from(paths(document))), draw(VALUES))
    return model, json.dumps(document).encode()


def some_bytes_changed(draw: st.DrawFn, body: bytes) -> bytes:
    """Replace, remove or repeat some bytes of the body."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 8)))
        body = body[:start] + draw(st.binary(max_size=8) | st.just(body[start:end] * 2)) + body[end:]
    return body


@st.composite
def mutated_bytes(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request that was valid until some of its bytes were replaced, removed or repeated."""
    model = draw(st.sampled_from(sorted(VALID)))
    return model, some_bytes_changed(draw, json.dumps(VALID[model]).encode())


@st.composite
def mutated_binary(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A request with a binary tensor, its JSON's length beside it, valid until JSON, tensor or length were changed."""
    model = draw(st.sampled_from(sorted(BINARY)))
    document, tensors = BINARY[model]
    what = draw(st.sampled_from(["values", "json", "tensors", "length", "all"]))
    if what in ("values", "all"):
        document = with_value(document, draw(st.sampled_from(paths(document))), draw(VALUES))
    text = json.dumps(document).encode()
    length = str(len(text))
    if what == "json":
        text = some_bytes_changed(draw, text)
        length = draw(st.just(str(len(text))) | st.just(length))
    if what in ("tensors", "all"):
        tensors = some_bytes_changed(draw, tensors)
    if what == "length":
        near = st.integers(-2, 2).map(lambda by: str(len(text) + by))
        length = draw(near | st.integers().map(str) | st.text(st.characters(max_codepoint=255), max_size=8))
    return model, length, text + tensors


def assert_sane(answer: Answer) -> None:
    # a `timeout` of a microsecond is the caller's own wish
    assert answer.status < 500 or answer.status == 504, answer
    if answer.status != 200:
        assert not answer.tensors
        assert answer.body.keys() == {"error", "request_id"}
        assert answer.body["error"]


@FUZZ
@given(st.sampled_from(MODELS), st.binary(max_size=200))
def test_raw_bytes_are_refused(gateway: Gateway, model: str, body: bytes) -> None:
    answer = gateway.infer(model, body)

    assert_sane(answer)
    assert answer.status == 400  # no inference request is that short and made by chance


@FUZZ
@given(mutated_values())
def test_requests_with_other_values_are_answered(gateway: Gateway, request_: tuple[str, bytes]) -> None:
    model, body = request_

    assert len(body) < MAX_BODY_BYTES
    assert_sane(gateway.infer(model, body))


@FUZZ
@given(mutated_bytes())
def test_requests_with_other_bytes_are_answered(gateway: Gateway, request_: tuple[str, bytes]) -> None:
    model, body = request_

    assert_sane(gateway.infer(model, body))


@pytest.mark.parametrize("model", sorted(BINARY))
def test_what_is_changed_below_is_answered_as_it_is(gateway: Gateway, model: str) -> None:
    document, tensors = BINARY[model]

    assert gateway.infer(model, VALID.get(model, {})).status == (200 if model in VALID else 400)
    assert gateway.infer_binary(model, document, tensors).status == 200


@FUZZ
@given(mutated_binary())
def test_binary_requests_with_other_values_bytes_and_lengths_are_answered(
    gateway: Gateway, request_: tuple[str, str, bytes]
) -> None:
    model, length, body = request_

    answer = gateway.send(
        "POST", f"/v2/models/{model}/infer", body, headers={"Inference-Header-Content-Length": length}
    )

    assert_sane(answer)


@FUZZ
@given(st.sampled_from(MODELS), st.binary(max_size=64))
def test_raw_requests_of_any_bytes_are_answered(gateway: Gateway, model: str, body: bytes) -> None:
    assert_sane(gateway.infer_binary(model, b"", body))


@FUZZ
@given(st.sampled_from(["gzip", "deflate"]), st.binary(max_size=64), st.integers(0, 60))
def test_bodies_that_claim_to_be_compressed_are_answered(
    gateway: Gateway, encoding: str, noise: bytes, at: int
) -> None:
    whole = (gzip if encoding == "gzip" else zlib).compress(json.dumps(VALID["affine"]).encode())
    body = whole[:at] + noise + whole[at + len(noise) :]

    assert_sane(gateway.send("POST", "/v2/models/affine/infer", body, headers={"Content-Encoding": encoding}))


def test_no_request_takes_memory_that_it_does_not_bring(gateway: Gateway) -> None:
    lengths = [2**31, 2**40, 2**62]
    headers = [infer_body(binary_tensor("x", "BYTES", [length, 1], 8)) for length in lengths]
    headers += [infer_body(binary_tensor("x", "BYTES", [1, 1], length)) for length in lengths]
    gateway.infer_binary("identity-bytes", headers[0], bytes(8))

    tracemalloc.start()
    answers = [gateway.infer_binary("identity-bytes", header, b"\xff" * 8) for header in headers]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert {answer.status for answer in answers} == {400}
    assert peak < 1_000_000


SEGMENTS = st.sampled_from(["v2", "models", "affine", "versions", "1", "infer", "ready", "health"]) | st.text(
    max_size=6
)


@FUZZ
@given(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PATCH", "X"]), st.lists(SEGMENTS))
def test_paths_and_methods_are_answered(gateway: Gateway, method: str, segments: list[str]) -> None:
    path = "/" + "/".join(segments).encode(errors="replace").decode()

    answer = gateway.send_raw({"method": method, "path": path, "query_string": b""})

    assert answer.status in (200, 204, 400, 404, 405)
