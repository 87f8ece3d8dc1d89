"""Payloads through the web face: a client that knows HTTP and JSON, a real S3 API, and Mangum between them."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from handlers.api.answers import AnswerLimit
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.payloads.identity import PayloadId
from handlers.payloads.payloads import Payloads
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.routing import MAIN
from handlers.tasks.rows import TensorRows
from handlers.tasks.task import Prepared
from handlers.timeline import Timeline
from tests.handlers.api.conftest import MAX_BODY_BYTES
from tests.handlers.api.gateway import Gateway, infer_body, tensor
from tests.handlers.payloads.buckets import Recorder, Room, sha256
from tests.servers.s3 import S3Server

Json = Any
Open = Callable[..., Gateway]
MEBIBYTE = 1 << 20
ROW = infer_body(tensor("x", "FP32", [1, 3], [0, 1, 2]))
ALLOWED = {"parameters": {"payload_output": True}}


@pytest.fixture
def room(s3_environment: S3Server, s3_bucket: str) -> Room:
    return Room(s3_environment, s3_bucket)


@pytest.fixture
def opened(service: Service) -> Iterator[Open]:
    """Opens gateways to the models of all tests, with payloads and a limit for answers of their own."""
    service.models.await_all(60)
    gateways: list[Gateway] = []

    def open_gateway(payloads: Payloads, max_answer_bytes: int = 1_000_000, models: Models | None = None) -> Gateway:
        own = Service(
            models or service.models,
            service.telemetry,
            MAX_BODY_BYTES,
            payloads=payloads,
            answer_limit=AnswerLimit(max_answer_bytes),
        )
        gateways.append(Gateway(create_app(own)))
        return gateways[-1]

    yield open_gateway
    for gateway in gateways:
        gateway.close()


def send_payload(gateway: Gateway, data: bytes) -> str:
    """Do what a client does before its request, and return the id."""
    answer = gateway.send("POST", "/v1/payloads", {"size": len(data), "sha256": sha256(data)})
    assert answer.status == 200, answer.body
    upload = answer.body["upload"]
    assert upload["method"] == "PUT"
    done = httpx.put(upload["url"], content=data, headers=upload["headers"], trust_env=False)
    assert done.status_code == 200, done.text
    payload: str = answer.body["payload"]
    return payload


def by_payload(name: str, datatype: str, shape: Sequence[int], payload: object) -> Json:
    return {"name": name, "datatype": datatype, "shape": list(shape), "parameters": {"payload": payload}}


def fetch(output: Json) -> bytes:
    """Return an output's bytes, checked against what the answer says of them."""
    parameters = output["parameters"]
    data = httpx.get(parameters["payload_url"], trust_env=False).content
    assert (len(data), sha256(data)) == (parameters["payload_size"], parameters["payload_sha256"])
    return data


def test_an_address_is_issued_for_what_was_announced(opened: Open, room: Room) -> None:
    asked = {"size": 5, "sha256": sha256(b"hello")}

    answer = opened(room.open()).send("POST", "/v1/payloads", asked)

    assert answer.status == 200
    payload = PayloadId.parse(answer.body["payload"])
    assert (payload.size, payload.sha256) == (5, sha256(b"hello"))
    assert answer.body["upload"]["url"].startswith(f"{room.server.endpoint}/{room.bucket}/{room.prefix}/{payload}?")
    assert answer.body["upload"]["headers"].keys() == {"content-length", "x-amz-checksum-sha256"}
    expires_at = datetime.fromisoformat(answer.body["expires_at"])
    assert 0 < (expires_at - datetime.now(UTC)).total_seconds() <= 300


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "body: "),
        (b"\xff", "body: "),
        (b"[" * 100_000, "body: "),
        ([], "body: Expected `object`, got `array`"),
        ({"size": 5}, "body: Object missing required field `sha256`"),
        ({"size": 0, "sha256": "0" * 64}, "body: Expected `int` >= 1 - at `$.size`"),
        ({"size": "5", "sha256": "0" * 64}, "body: Expected `int`, got `str` - at `$.size`"),
        ({"size": 5, "sha256": "0" * 63}, f"sha256: '{'0' * 63}'"),
        ({"size": 5, "sha256": "G" * 64}, f"sha256: '{'G' * 64}'"),
        ({"size": 5, "sha256": "0" * 100_000}, f"sha256: '{'0' * 80}'"),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(opened: Open, room: Room, body: Json, found: str) -> None:
    answer = opened(room.open()).send("POST", "/v1/payloads", body)

    assert answer.status == 400
    assert answer.body["error"].startswith(found)
    assert (
        ", expected a JSON object with `size` in bytes, at least 1, and `sha256` in 64 digits" in answer.body["error"]
    )
    assert len(answer.body["error"]) < 400


def test_a_payload_that_no_request_may_name_gets_no_address(opened: Open, room: Room) -> None:
    for size in (65 * MEBIBYTE, 2**63, 10**30):
        answer = opened(room.open()).send("POST", "/v1/payloads", {"size": size, "sha256": "0" * 64})
        assert answer.status == 413
        assert answer.body["error"].startswith(f"payload: {size} bytes, expected at most {64 * MEBIBYTE}")


def test_without_a_bucket_all_of_it_is_501_and_the_setting_named(gateway: Gateway) -> None:
    x = by_payload("x", "FP32", [1, 3], str(PayloadId.new(12, "0" * 64)))
    answers = [
        gateway.send("POST", "/v1/payloads", {"size": 5, "sha256": "0" * 64}),
        gateway.infer("affine", infer_body(x)),
        gateway.infer("affine", {**ROW, **ALLOWED}),
        gateway.infer("affine", {**ROW, "outputs": [{"name": "y", **ALLOWED}]}),
    ]

    for answer in answers:
        assert answer.status == 501
        assert "expected the setting LAMBDASERVE_PAYLOADS to name one" in answer.body["error"]
    assert gateway.infer("affine", {**ROW, "parameters": {"payload_output": False}}).status == 200


def test_eight_megabytes_go_in_and_eight_come_out(opened: Open, room: Room) -> None:
    recorder = Recorder()
    gateway = opened(room.open(observer=recorder))
    x = np.random.default_rng(0).standard_normal((2048, 1024), np.float32)

    payload = send_payload(gateway, x.tobytes())
    answer = gateway.infer("identity-fp32", infer_body(by_payload("x", "FP32", x.shape, payload), **ALLOWED))

    assert x.nbytes == 8 * MEBIBYTE
    assert answer.status == 200, answer.body
    [y] = answer.body["outputs"]
    assert (y["name"], y["datatype"], y["shape"]) == ("y", "FP32", [2048, 1024])
    assert "data" not in y
    assert fetch(y) == x.tobytes()
    assert (recorder.issued, recorder.received, recorder.sent, recorder.failures) == (1, 1, 1, [])


def test_an_output_is_an_input_of_the_next_request(opened: Open, room: Room) -> None:
    gateway = opened(room.open(), 4500)
    x = np.arange(3000, dtype=np.float32).reshape(-1, 3)
    first = gateway.infer("affine", infer_body(tensor("x", "FP32", x.shape, x.ravel().tolist()), **ALLOWED))
    [y] = first.body["outputs"]

    second = gateway.infer(
        "affine", infer_body(by_payload("x", "FP32", y["shape"], y["parameters"]["payload"]), **ALLOWED)
    )

    np.testing.assert_array_equal(
        np.frombuffer(fetch(second.body["outputs"][0]), "<f4").reshape(-1, 3), (x * 2 + 1) * 2 + 1
    )


RAW: dict[str, tuple[bytes, Json]] = {
    "bool": (b"\x01\x00", [True, False]),
    "uint8": (b"\x01\xff", [1, 255]),
    "int16": (struct.pack("<2h", -1, 300), [-1, 300]),
    "int64": (struct.pack("<2q", -1, 2**40), [-1, 2**40]),
    "fp16": (struct.pack("<2e", 0.5, -2), [0.5, -2]),
    "fp64": (struct.pack("<2d", 0.1, -2), [0.1, -2]),
    "bytes": (b"\x02\x00\x00\x00\xc3\xa9\x00\x00\x00\x00", ["é", ""]),
}


@pytest.mark.parametrize("datatype", RAW)
def test_every_datatype_travels_as_in_the_binary_extension(opened: Open, room: Room, datatype: str) -> None:
    gateway = opened(room.open(), 4000)
    raw, values = RAW[datatype]
    payload = send_payload(gateway, raw)
    x = by_payload("x", datatype.upper(), [1, 2], payload)

    assert gateway.infer(f"identity-{datatype}", infer_body(x)).body["outputs"][0]["data"] == values

    count = 3000
    many = tensor("x", datatype.upper(), [count, 2], values * count)
    [y] = gateway.infer(f"identity-{datatype}", infer_body(many, **ALLOWED)).body["outputs"]
    assert fetch(y) == raw * count


@pytest.mark.parametrize(
    ("datatype", "raw", "found"),
    [
        ("FP32", b"1234567", "input 'x': a payload of 7 bytes, expected 8 for FP32 [1, 2]"),
        ("FP32", b"123456789", "input 'x': a payload of 9 bytes, expected 8 for FP32 [1, 2]"),
        ("BOOL", b"\x01\x02", "input 'x': a byte above 1"),
        ("BYTES", b"1234567", "input 'x': a payload of 7 bytes, expected at least 8 for BYTES [1, 2]"),
        ("BYTES", b"\1\0\0\0a\xff\xff\xff\xff", "input 'x': "),
        ("BYTES", b"\5\0\0\0aaaaa\0\0", "input 'x': "),
        ("BYTES", b"\1\0\0\0\xff\0\0\0\0", "input 'x': text 0: invalid start byte at byte 0, expected UTF-8"),
        ("BYTES", b"\0\0\0\0\0\0\0\0!", "input 'x': 1 bytes after the last text, expected none"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_such_tensor_are_refused(
    opened: Open, room: Room, datatype: str, raw: bytes, found: str
) -> None:
    gateway = opened(room.open())
    x = by_payload("x", datatype, [1, 2], send_payload(gateway, raw))

    answer = gateway.infer(f"identity-{datatype.lower()}", infer_body(x))

    assert answer.status == 400
    assert answer.body["error"].startswith(found)
    assert ", expected " in answer.body["error"]


def test_an_empty_tensor_of_an_impossible_shape_is_refused(opened: Open, room: Room) -> None:
    gateway = opened(room.open())
    x = by_payload("x", "FP32", [0, 2**62], str(PayloadId.new(1, "0" * 64)))

    answer = gateway.infer("identity-fp32", infer_body(x))

    assert (answer.status, answer.body["error"][:46]) == (400, "input 'x': a payload of 1 bytes, expected 0 fo")


@pytest.mark.parametrize(
    "payload", ["", "https://example.org/x", "s3://bucket/key", "../../models/affine/aliases.json", "x" * 100_000]
)
def test_no_address_is_taken(opened: Open, room: Room, payload: str) -> None:
    answer = opened(room.open()).infer("affine", infer_body(by_payload("x", "FP32", [1, 3], payload)))

    assert answer.status == 400
    assert answer.body["error"].startswith(f"payload: {payload[:80]!r}, expected an id from POST /v1/payloads")
    assert len(answer.body["error"]) < 300


def test_an_input_is_in_one_place(opened: Open, room: Room) -> None:
    gateway = opened(room.open())
    x = by_payload("x", "FP32", [1, 3], str(PayloadId.new(12, "0" * 64)))
    both = gateway.infer("affine", infer_body({**x, "data": [0, 1, 2]}))
    neither = gateway.infer("affine", infer_body({**x, "parameters": {}}))
    wrong = gateway.infer("affine", infer_body({**x, "parameters": {"payload": 5}}))

    for answer in (both, neither, wrong):
        assert answer.status == 400
        assert answer.body["error"].startswith("input 'x': ")
        assert ", expected " in answer.body["error"]
    assert "neither" in neither.body["error"]
    assert "int" in wrong.body["error"]


def test_what_the_bucket_does_not_have_is_404_and_what_it_refuses_503(
    opened: Open, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = by_payload("x", "FP32", [1, 3], str(PayloadId.new(12, "0" * 64)))
    missing = opened(room.open()).infer("affine", infer_body(x))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = opened(room.open()).infer("affine", infer_body(x))

    assert (missing.status, "nothing stored under this id, expected an upload" in missing.body["error"]) == (404, True)
    assert (refused.status, refused.body["error"].partition(" (")[0]) == (503, "payload bucket: SignatureDoesNotMatch")
    assert room.bucket not in refused.body["error"]


def test_altered_bytes_are_400_and_say_what_was_found(opened: Open, room: Room) -> None:
    payload = PayloadId.new(12, sha256(b"twelve bytes"))
    room.put(str(payload), b"other bytes!")

    answer = opened(room.open()).infer("affine", infer_body(by_payload("x", "FP32", [1, 3], str(payload))))

    assert answer.status == 400
    assert sha256(b"other bytes!") in answer.body["error"]
    assert payload.sha256 in answer.body["error"]


LARGE = infer_body(tensor("x", "FP32", [1000, 3], [0, 1, 2] * 1000))
HINT = "allow outputs to travel through the payload bucket with the parameter `payload_output`: true"


def test_a_large_answer_that_may_not_go_to_the_bucket_is_413_and_says_how_to_allow_it(opened: Open, room: Room) -> None:
    answer = opened(room.open(), 5000).infer("affine", LARGE)

    assert answer.status == 413
    assert answer.body["error"] == f"answer: at least 6000 bytes, expected at most 5000; {HINT}"
    assert room.keys() == []


def test_an_answer_is_measured_as_it_is_encoded(opened: Open, room: Room) -> None:
    # 3000 numbers of four characters each: more than two bytes for each, which is known beforehand
    [small] = opened(room.open(), 20_000).infer("affine", LARGE).body["outputs"]
    refused = opened(room.open(), 8000).infer("affine", LARGE)
    [sent] = opened(room.open(), 8000).infer("affine", {**LARGE, **ALLOWED}).body["outputs"]

    assert small["data"] == [1, 3, 5] * 1000
    assert (refused.status, refused.body["error"].partition(";")[2].strip()) == (413, HINT)
    assert fetch(sent) == np.tile(np.array([1, 3, 5], "<f4"), 1000).tobytes()


def test_without_a_bucket_a_large_answer_is_413_without_false_hopes(opened: Open) -> None:
    answer = opened(Payloads(), 5000).infer("affine", LARGE)

    assert answer.status == 413
    assert answer.body["error"].endswith("expected at most 5000; ask for fewer outputs, or for less at once")


def test_a_small_answer_stays_where_it_is_whatever_is_allowed(opened: Open, room: Room) -> None:
    answer = opened(room.open()).infer("affine", {**ROW, **ALLOWED})

    assert answer.body["outputs"] == [{"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [1, 3, 5]}]
    assert room.keys() == []


def pair(rows: int, *outputs: Json, **members: Json) -> Json:
    a, b = tensor("a", "FP32", [rows, 2], [1, 2] * rows), tensor("b", "FP32", [1, 2], [0, 0])
    return infer_body(a, b, **({"outputs": list(outputs)} if outputs else {}), **members)


def test_no_more_outputs_go_to_the_bucket_than_have_to(opened: Open, room: Room) -> None:
    answer = opened(room.open(), 14_000).infer("pair", pair(1000, **ALLOWED))

    assert answer.status == 200, answer.body
    places = ["data" if "data" in output else "payload" for output in answer.body["outputs"]]
    assert sorted(places) == ["data", "payload"]
    assert len(room.keys()) == 1


def test_each_output_may_be_allowed_for_itself(opened: Open, room: Room) -> None:
    gateway = opened(room.open(), 14_000)
    kept, allowed = {"name": "sum"}, {"name": "difference", **ALLOWED}
    forbidden = {"name": "sum", "parameters": {"payload_output": False}}

    found = gateway.infer("pair", pair(1000, kept, allowed)).body["outputs"]
    assert ["data" in output for output in found] == [True, False]
    found = gateway.infer("pair", pair(1000, forbidden, {"name": "difference"}, **ALLOWED)).body["outputs"]
    assert ["data" in output for output in found] == [True, False]
    refused = gateway.infer("pair", pair(3000, forbidden, allowed))
    assert (refused.status, refused.body["error"].partition("; ")[2]) == (413, HINT)


def test_binary_outputs_go_to_the_bucket_too_and_the_rest_stays_behind_the_json(opened: Open, room: Room) -> None:
    gateway = opened(room.open(), 26_000)  # in base64
    parameters = {"payload_output": True, "binary_data_output": True}
    body = pair(1500, {"name": "sum"}, {"name": "difference"}, parameters=parameters)

    answer = gateway.send("POST", "/v2/models/pair/infer", body)

    sent, kept = sorted(answer.body["outputs"], key=lambda output: "payload" not in output["parameters"])
    expected = np.tile(np.array([1, 2], "<f4"), 1500).tobytes()
    assert fetch(sent) == expected
    assert kept["parameters"] == {"binary_data_size": len(expected)}
    assert answer.tensors == expected


def test_payload_output_is_true_or_false(opened: Open, room: Room) -> None:
    answer = opened(room.open()).infer("affine", {**ROW, "parameters": {"payload_output": "always"}})

    assert answer.status == 400
    assert "payload_output" in answer.body["error"]
    assert ", expected " in answer.body["error"]


class RawRows(TensorRows):
    """A task whose instances may come as bytes: here, the float32 values of a row."""

    media_types = ("application/x-row",)

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        rows = [np.frombuffer(row, "<f4").tolist() if isinstance(row, bytes) else row for row in instances]
        return super().prepare(rows)


class RawModels(Models):
    """Hands out the models of another, with that task."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self.timeline = Timeline()
        self.strict = False

    def hold(self, name: str, which: str | None = None, share: float = MAIN) -> LoadedModel | None:
        model = self._models.await_and_hold(name, which, 60, share)
        return model and replace(model, task=RawRows(model.manifest.inputs, model.manifest.outputs))

    def release(self, name: str, version: str) -> None:
        self._models.release(name, version)

    def make_room(self, least_bytes: int) -> int:
        return self._models.make_room(least_bytes)


def test_an_instance_that_is_a_payload_stands_for_its_bytes(opened: Open, room: Room, service: Service) -> None:
    gateway = opened(room.open(), models=RawModels(service.models))
    payload = send_payload(gateway, np.array([0, 1, 2], "<f4").tobytes())
    instances = [{"payload": payload}, [1, 1, 1], {"x": [2, 2, 2]}, {"payload": payload}]

    answer = gateway.send("POST", "/v1/models/affine:predict", {"instances": instances})

    assert answer.body == {"predictions": [[1, 3, 5], [3, 3, 3], [5, 5, 5], [1, 3, 5]]}


@pytest.mark.parametrize("payload", ["https://example.org/photo.jpg", "x"])
def test_an_instance_that_names_no_payload_is_refused(opened: Open, room: Room, service: Service, payload: str) -> None:
    gateway = opened(room.open(), models=RawModels(service.models))

    answer = gateway.send("POST", "/v1/models/affine:predict", {"instances": [{"payload": payload}]})

    assert answer.status == 400
    assert answer.body["error"].startswith(f"payload: {payload!r}, expected an id ")


def test_an_instance_is_no_payload_where_the_task_reads_no_bytes(opened: Open, room: Room) -> None:
    gateway = opened(room.open())
    body = {"instances": [[0, 1, 2], {"payload": str(PayloadId.new(12, "0" * 64))}]}

    answer = gateway.send("POST", "/v1/models/affine:predict", body)

    assert answer.status == 400
    assert answer.body["error"].startswith(
        "instances[1]: a payload, expected JSON: this model's task reads no raw bytes"
    )
