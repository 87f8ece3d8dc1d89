"""Uploads into a store through signed addresses: by plain HTTP, against a real S3 API over a socket."""

import base64
import hashlib
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from handlers.errors import InvalidName, NotSupported, ObjectNotFound, StoreUnavailable
from handlers.registry.stores import Store, open_store
from tests.servers.s3 import S3Server

DATA = b"thirty-two bytes, give or take.\n"
OTHER = b"Thirty-two bytes, give or take.\n"
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = "models/m/versions/1/fp32.onnx"


@pytest.fixture
def store(s3_environment: S3Server, s3_bucket: str) -> Store:  # noqa: ARG001 - leads to the server
    return open_store(f"s3://{s3_bucket}/{uuid4().hex}")


def put(address: tuple[str, dict[str, str]], data: bytes, **headers: str | None) -> httpx.Response:
    """Do what a client does with an address, with other headers (None: without) where a test says so."""
    url, given = address
    changed = given | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in changed.items() if value is not None}
    return httpx.put(url, content=data, headers=sent, trust_env=False)


def test_what_was_announced_can_be_uploaded(store: Store) -> None:
    answer = put(store.sign_upload(KEY, len(DATA), SHA256, 60), DATA)

    assert answer.status_code == 200, answer.text
    assert store.read(KEY).data == DATA


def test_what_is_there_is_never_overwritten(store: Store) -> None:
    address = store.sign_upload(KEY, len(DATA), SHA256, 60)
    put(address, DATA)

    assert put(address, DATA).status_code == 412
    assert put(store.sign_upload(KEY, len(OTHER), hashlib.sha256(OTHER).hexdigest(), 60), OTHER).status_code == 412
    assert store.read(KEY).data == DATA


def test_nobody_can_leave_out_that_nothing_is_overwritten(store: Store) -> None:
    store.create(KEY, DATA)

    refused = put(store.sign_upload(KEY, len(DATA), SHA256, 60), DATA, if_none_match=None)

    assert refused.status_code == 403
    assert "SignatureDoesNotMatch" in refused.text


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"!", b""])
def test_another_size_is_refused(store: Store, data: bytes) -> None:
    refused = put(store.sign_upload(KEY, len(DATA), SHA256, 60), data, content_length=None)

    assert refused.status_code == 403
    assert_absent(store)


def test_other_bytes_of_the_same_size_are_refused(store: Store) -> None:
    refused = put(store.sign_upload(KEY, len(DATA), SHA256, 60), OTHER)

    assert refused.status_code == 400
    assert "BadDigest" in refused.text
    assert_absent(store)


@pytest.mark.parametrize("value", [None, base64.b64encode(hashlib.sha256(OTHER).digest()).decode()])
def test_another_hash_in_the_header_or_none_is_refused(store: Store, value: str | None) -> None:
    refused = put(store.sign_upload(KEY, len(DATA), SHA256, 60), OTHER, x_amz_checksum_sha256=value)

    assert refused.status_code == 403
    assert_absent(store)


def test_another_key_is_refused(store: Store) -> None:
    url, headers = store.sign_upload(KEY, len(DATA), SHA256, 60)

    assert put((url.replace("fp32", "int8"), headers), DATA).status_code == 403


def test_the_address_ends_when_it_says(store: Store) -> None:
    address = store.sign_upload(KEY, len(DATA), SHA256, 1)
    end_s = time.time() + 2
    while time.time() <= end_s:
        time.sleep(0.1)

    refused = put(address, DATA)

    assert refused.status_code == 403
    assert "expired" in refused.text
    assert_absent(store)


def test_keys_are_checked_before_they_are_signed(store: Store) -> None:
    with pytest.raises(InvalidName):
        store.sign_upload("models/../secret", len(DATA), SHA256, 60)


def test_without_credentials_there_is_no_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    with pytest.raises(StoreUnavailable, match="credentials"):
        open_store("s3://bucket/prefix").sign_upload(KEY, len(DATA), SHA256, 60)


def test_addresses_name_the_buckets_region(monkeypatch: pytest.MonkeyPatch) -> None:
    # the global host redirects to a young bucket's region, which no signature survives
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    url, _ = open_store("s3://bucket/prefix").sign_upload(KEY, len(DATA), SHA256, 60)

    assert urlsplit(url).hostname == "bucket.s3.eu-west-1.amazonaws.com"


def test_a_folder_has_no_addresses(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="expected a store in S3"):
        open_store((tmp_path / "store").as_uri()).sign_upload(KEY, len(DATA), SHA256, 60)


def assert_absent(store: Store) -> None:
    with pytest.raises(ObjectNotFound):
        store.read(KEY)
