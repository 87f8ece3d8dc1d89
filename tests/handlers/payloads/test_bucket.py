"""Uploads through signed addresses, against a real S3 API over a socket, by plain HTTP.

SeaweedFS, which stands for S3 here, checks the signature with every header in it, the time, the length and the SHA-256,
as AWS does. It also lets an upload be repeated with the same bytes, as AWS does: that changes nothing.
"""

import base64
import hashlib
import time

import httpx
import numpy as np
import pytest

from handlers.payloads.bucket import PayloadBucket
from handlers.payloads.identity import PayloadId
from tests.handlers.payloads.buckets import Room, sha256, upload

DATA = b"forty-two bytes of no particular meaning.\n"
OTHER = b"Forty-two bytes of no particular meaning.\n"


def test_what_was_announced_can_be_uploaded_and_is_there(room: Room) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))

    assert room.keys() == []
    assert upload(given, DATA).status_code == 200
    assert room.keys() == [str(given.payload)]
    assert upload(given, DATA).status_code == 200  # a client whose first answer got lost tries again


def test_the_address_ends_when_it_says(room: Room) -> None:
    given = room.open(address_valid_s=1).issue(len(DATA), sha256(DATA))
    while time.time() <= given.expires_at.timestamp() + 1:
        time.sleep(0.1)

    refused = upload(given, DATA)

    assert refused.status_code == 403
    assert "expired" in refused.text
    assert room.keys() == []


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"!", b""])
def test_another_size_is_refused(room: Room, data: bytes) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))
    headers = {"x-amz-checksum-sha256": given.headers["x-amz-checksum-sha256"]}

    refused = httpx.put(given.url, content=data, headers=headers, trust_env=False)

    assert refused.status_code == 403
    assert "SignatureDoesNotMatch" in refused.text
    assert room.keys() == []


def test_an_upload_that_does_not_say_its_size_is_refused(room: Room) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))
    headers = {"x-amz-checksum-sha256": given.headers["x-amz-checksum-sha256"]}

    refused = httpx.put(given.url, content=iter([DATA]), headers=headers, trust_env=False)

    assert refused.status_code in {403, 411, 501}
    assert room.keys() == []


def test_other_bytes_of_the_same_size_are_refused(room: Room) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))

    refused = upload(given, OTHER)

    assert len(OTHER) == len(DATA)
    assert refused.status_code == 400
    assert "BadDigest" in refused.text
    assert room.keys() == []


@pytest.mark.parametrize("value", [None, base64.b64encode(hashlib.sha256(OTHER).digest()).decode()])
def test_another_hash_in_the_header_or_none_is_refused(room: Room, value: str | None) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))
    headers = {"content-length": str(len(DATA))} | ({"x-amz-checksum-sha256": value} if value else {})

    refused = httpx.put(given.url, content=OTHER, headers=headers, trust_env=False)

    assert refused.status_code == 403
    assert "SignatureDoesNotMatch" in refused.text
    assert room.keys() == []


def test_another_key_or_method_is_refused(room: Room) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))
    other = given.url.replace(given.payload.random, "0" * 32)

    assert other != given.url
    assert httpx.put(other, content=DATA, headers=given.headers, trust_env=False).status_code == 403
    assert upload(given, DATA).status_code == 200
    assert httpx.get(given.url, trust_env=False).status_code == 403
    assert httpx.delete(given.url, trust_env=False).status_code == 403
    assert room.keys() == [str(given.payload)]


def test_without_a_signature_nothing_can_be_written_or_read(room: Room) -> None:
    given = room.open().issue(len(DATA), sha256(DATA))
    address = given.url.partition("?")[0]

    assert httpx.put(address, content=DATA, trust_env=False).status_code == 403
    assert upload(given, DATA).status_code == 200
    assert httpx.get(address, trust_env=False).status_code == 403


def test_the_address_of_an_output_gives_its_bytes_and_takes_none(room: Room) -> None:
    bucket = PayloadBucket.open(room.url)
    payload = PayloadId.new(len(DATA), sha256(DATA))
    bucket.write(payload, DATA)

    url = bucket.sign_download(payload, 60)

    assert httpx.get(url, trust_env=False).content == DATA
    assert httpx.put(url, content=DATA, trust_env=False).status_code == 403


def test_parts_are_read_where_they_belong(room: Room) -> None:
    data = np.random.default_rng(0).bytes(1000)
    payload = PayloadId.new(len(data), sha256(data))
    bucket = PayloadBucket.open(room.url)
    bucket.write(payload, data)
    whole = bytearray(len(data))

    for start in (700, 0, 350):
        bucket.read_part(payload, start, memoryview(whole)[start : start + 350])

    assert bytes(whole) == data


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_on_aws_addresses_lead_to_the_region_itself(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    # bucket.s3.amazonaws.com answers with a redirect while a bucket is new, and no signature survives one
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for name, value in {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": region}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    bucket = PayloadBucket.open("s3://payloads-bucket/payloads")

    url, _ = bucket.sign_upload(PayloadId.new(1, "0" * 64), 60)

    host = "s3.amazonaws.com" if region == "us-east-1" else f"s3.{region}.amazonaws.com"
    assert url.startswith(f"https://payloads-bucket.{host}/payloads/")
