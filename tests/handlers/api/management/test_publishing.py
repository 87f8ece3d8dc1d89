"""Publishing over the network: plain HTTP PUTs to a real S3 API, between a claim and its end."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import numpy as np
import pytest

from handlers.registry.aliases import read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, Manifest, encode_manifest
from handlers.registry.names import file_key
from handlers.registry.tombstones import Ending, Tombstone, encode_tombstone
from handlers.versions.aliasing import retire
from handlers.versions.changes import Operation
from handlers.versions.claims import claim, close
from handlers.versions.listing import list_versions
from handlers.versions.removal import remove_files
from tests.aliases import resolve_alias
from tests.artifacts import make_artifact
from tests.graphs import affine
from tests.handlers.api.gateway import Answer
from tests.handlers.api.management.manager import ALICE, BOB, Manager, key
from tests.servers.s3 import S3Server

VERSIONS = "/models/m/versions"
EXAMPLE = {"x": np.array([[0, 1, 2]], np.float32)}


@pytest.fixture
def store_url(s3_environment: S3Server, s3_bucket: str) -> str:  # noqa: ARG001 - leads to the server
    """Only S3 can be uploaded to from elsewhere."""
    return f"s3://{s3_bucket}/{uuid4().hex}/prefix"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """What `lambdaserve build` leaves behind."""
    make_artifact(tmp_path / "artifact", "m", {"fp32": affine()}, [EXAMPLE])
    return tmp_path / "artifact"


@pytest.fixture
def text(artifact: Path) -> str:
    """Its manifest, as a client sends it."""
    return (artifact / MANIFEST_FILE).read_text(encoding="utf-8")


@pytest.fixture
def in_a_folder(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager.of((tmp_path / "store").as_uri(), tmp_path)
    yield manager
    manager.gateway.close()


def put(upload: Mapping[str, Any], data: bytes) -> httpx.Response:
    """Do what a client does with an address: plain HTTP, nothing of AWS."""
    return httpx.put(upload["url"], content=data, headers=upload["headers"], trust_env=False)


def upload_all(claimed: Answer, artifact: Path) -> None:
    for upload in claimed.body["uploads"]:
        answer = put(upload, (artifact / upload["file"]).read_bytes())
        assert answer.status_code == 200, answer.text


def altered(text: str, **parts: Any) -> str:  # noqa: ANN401 - parts of a manifest
    """Return the manifest with other parts, sealed again."""
    manifest = msgspec.json.decode(text)
    del manifest["sha256"]
    return encode_manifest(msgspec.convert(manifest | msgspec.to_builtins(parts), Manifest)).decode()


def test_a_version_is_published_by_one_who_has_nothing_but_addresses(
    manager: Manager, artifact: Path, text: str
) -> None:
    before = datetime.now(UTC)
    claimed = manager.post(VERSIONS, {"manifest": text}, headers=key("a" * 32))

    assert claimed.status == 201, claimed.body
    assert (claimed.body["model"], claimed.body["version"], claimed.body["operation"]) == ("m", "1", "a" * 32)
    assert [upload["file"] for upload in claimed.body["uploads"]] == ["fp32.onnx", "goldens.npz"]
    left = datetime.fromisoformat(claimed.body["expires_at"]) - before
    assert timedelta(minutes=59) < left < timedelta(minutes=61)
    assert [found.state for found in list_versions(manager.store, "m")] == ["unfinished"]

    upload_all(claimed, artifact)
    finalised = manager.post(f"{VERSIONS}/1/finalise", {"manifest": text})
    promoted = manager.post("/models/m/aliases/live/promote", {"version": "1", "reason": "first"})

    assert finalised.status == 200, finalised.body
    assert finalised.body == {"model": "m", "version": "1", "operation": finalised.headers["idempotency-key"]}
    assert promoted.status == 200, promoted.body
    assert resolve_alias(manager.store, "m", "live") == "1"
    manifest = fetch_manifest(manager.store, "m", "1")
    assert manifest.published is not None
    assert (manifest.published.id, manifest.published.by) == ("a" * 32, ALICE)
    [change] = read_aliases(manager.store, "m")[0].history
    assert (change.by, change.reason, change.id) == (ALICE, "first", promoted.body["operation"])
    for name in manifest.files:
        assert manager.store.read(file_key("m", "1", name)).data == (artifact / name).read_bytes()


@pytest.mark.parametrize("member", [{"alias": "live"}, {"force": True}, {"reason": "first"}])
def test_the_right_to_publish_moves_no_alias(
    manager: Manager, artifact: Path, text: str, member: dict[str, object]
) -> None:
    upload_all(manager.post(VERSIONS, {"manifest": text}), artifact)

    refused = manager.post(f"{VERSIONS}/1/finalise", {"manifest": text} | member)
    finalised = manager.post(f"{VERSIONS}/1/finalise", {"manifest": text})

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert finalised.status == 200, finalised.body
    assert read_aliases(manager.store, "m")[1] is None
    assert manager.get(f"{VERSIONS}/1").body["manifest"]["version"] == "1"


def test_a_claim_that_is_asked_for_again_is_the_same_with_addresses_for_what_is_missing(
    manager: Manager, artifact: Path, text: str
) -> None:
    header = key()
    first = manager.post(VERSIONS, {"manifest": text}, headers=header)
    one, other = first.body["uploads"]
    put(one, (artifact / one["file"]).read_bytes())

    again = manager.post(VERSIONS, {"manifest": text}, headers=header)
    another = manager.post(VERSIONS, {"manifest": text}, headers=key())

    assert (again.status, again.body["version"], again.body["operation"]) == (201, "1", first.body["operation"])
    assert again.body["uploaded"] == [one["file"]]
    assert [upload["file"] for upload in again.body["uploads"]] == [other["file"]]
    assert another.body["version"] == "2"
    upload_all(again, artifact)
    assert manager.post(VERSIONS, {"manifest": text}, headers=header).body["uploads"] == []


def test_an_id_that_was_used_for_another_manifest_is_refused(manager: Manager, artifact: Path, text: str) -> None:
    header = key()
    upload_all(manager.post(VERSIONS, {"manifest": text}, headers=header), artifact)
    other = artifact.with_name("other")
    make_artifact(other, "m", {"fp32": affine(3.0)}, [EXAMPLE])

    refused = manager.post(VERSIONS, {"manifest": (other / MANIFEST_FILE).read_text()}, headers=header)

    assert (refused.status, refused.body["code"]) == (409, "operation_reused")


def test_only_what_was_announced_can_be_uploaded_and_only_once(manager: Manager, artifact: Path, text: str) -> None:
    claimed = manager.post(VERSIONS, {"manifest": text})
    upload = claimed.body["uploads"][0]
    data = (artifact / upload["file"]).read_bytes()
    headers = dict(upload["headers"])
    del headers["content-length"]

    assert put(upload | {"headers": headers}, data + b"!").status_code == 403
    assert put(upload, data[:-1] + bytes([data[-1] ^ 1])).status_code == 400
    assert put(upload, data).status_code == 200
    assert put(upload, data).status_code == 412


def test_a_version_is_not_finalised_before_all_is_there_as_announced(
    manager: Manager, artifact: Path, text: str
) -> None:
    claimed = manager.post(VERSIONS, {"manifest": text})
    one, other = claimed.body["uploads"]
    data = (artifact / one["file"]).read_bytes()
    manager.store.create(file_key("m", "1", one["file"]), data[:-1] + bytes([data[-1] ^ 1]))  # by other ways

    refused = manager.post(f"{VERSIONS}/1/finalise", {"manifest": text})

    assert (refused.status, refused.body["code"]) == (409, "upload_incomplete")
    assert f"{one['file']}: sha256 " in refused.body["error"]
    assert f"{other['file']}: missing" in refused.body["error"]
    assert [found.state for found in list_versions(manager.store, "m")] == ["unfinished"]
    assert read_aliases(manager.store, "m")[1] is None


def test_finalising_again_changes_nothing(manager: Manager, artifact: Path, text: str) -> None:
    upload_all(manager.post(VERSIONS, {"manifest": text}), artifact)
    body, header = {"manifest": text}, key()

    first = manager.post(f"{VERSIONS}/1/finalise", body, headers=header)
    again = manager.post(f"{VERSIONS}/1/finalise", body, headers=header)

    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert fetch_manifest(manager.store, "m", "1").version == "1"


def test_a_number_is_nobodys_but_the_claimers(manager: Manager, artifact: Path, text: str) -> None:
    header = key()
    upload_all(manager.post(VERSIONS, {"manifest": text}, headers=header), artifact)

    for refused in (
        manager.post(VERSIONS, {"manifest": text}, headers=header, caller=BOB),
        manager.post(f"{VERSIONS}/1/finalise", {"manifest": text}, caller=BOB),
    ):
        assert (refused.status, refused.body["code"]) == (409, "operation_reused")
    assert [found.state for found in list_versions(manager.store, "m")] == ["unfinished"]


def test_a_number_is_finished_with_one_manifest_only(manager: Manager, artifact: Path, text: str) -> None:
    upload_all(manager.post(VERSIONS, {"manifest": text}), artifact)
    manager.post(f"{VERSIONS}/1/finalise", {"manifest": text})

    refused = manager.post(f"{VERSIONS}/1/finalise", {"manifest": altered(text, warnings=["another one"])})

    assert (refused.status, refused.body["code"]) == (409, "operation_reused")
    assert fetch_manifest(manager.store, "m", "1").warnings == ()


def test_what_was_never_claimed_or_is_closed_cannot_be_finalised(manager: Manager, artifact: Path, text: str) -> None:
    header = key()
    upload_all(manager.post(VERSIONS, {"manifest": text}, headers=header), artifact)
    close(manager.store, "m", "1", Operation("gc"), "not finished in time")
    remove_files(manager.store, "m", "1")

    late = manager.post(f"{VERSIONS}/1/finalise", {"manifest": text})
    claimed_again = manager.post(VERSIONS, {"manifest": text}, headers=header)
    never = manager.post(f"{VERSIONS}/2/finalise", {"manifest": text})

    for refused in (late, claimed_again):
        assert (refused.status, refused.body["code"]) == (409, "version_retired")
        assert "not finished in time" in refused.body["error"]
    assert (never.status, never.body["code"]) == (404, "version_not_found")


def test_what_is_being_deleted_gets_no_fresh_addresses_and_is_not_finalised(
    manager: Manager, artifact: Path, text: str
) -> None:
    header = key()
    upload_all(manager.post(VERSIONS, {"manifest": text}, headers=header), artifact)
    retire(manager.store, "m", "1", Operation(BOB, "a mistake"))

    for refused in (
        manager.post(VERSIONS, {"manifest": text}, headers=header),
        manager.post(f"{VERSIONS}/1/finalise", {"manifest": text}),
    ):
        assert (refused.status, refused.body["code"]) == (409, "version_retired")
        assert "a mistake" in refused.body["error"]
    assert [found.state for found in list_versions(manager.store, "m")] == ["deleted"]


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"model": "n"}, "of model 'n', expected 'm'"),
        ({"version": "7"}, "of version 7, expected one without a number"),
        ({"schema_version": 99}, "schema version 99"),
    ],
)
def test_a_manifest_of_something_else_takes_no_number(
    manager: Manager, text: str, parts: dict[str, object], named: str
) -> None:
    refused = manager.post(VERSIONS, {"manifest": altered(text, **parts)})

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert named in refused.body["error"]
    assert list(manager.store.list_objects("models/")) == []


@pytest.mark.parametrize(
    ("names", "size", "named"),
    [
        (["claim"], 1, "a file by the name of claim"),
        (["manifest.json"], 1, "a file by the name of manifest.json"),
        (["large"], 5 * 1024**3 + 1, "expected 5368709120 at most"),
        ([f"file-{number}" for number in range(101)], 1, "files, expected 100 at most"),
    ],
)
def test_files_that_cannot_be_uploaded_take_no_number(
    manager: Manager, text: str, names: list[str], size: int, named: str
) -> None:
    entry = {"size": size, "sha256": "0" * 64, "parts": ["0" * 64] * (-(-size // (8 << 20)))}
    files = json.loads(text)["files"] | dict.fromkeys(names, entry)

    refused = manager.post(VERSIONS, {"manifest": altered(text, files=files)})

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert named in refused.body["error"]
    assert list(manager.store.list_objects("models/")) == []


def test_a_manifest_that_lost_a_digit_on_its_way_takes_no_number(manager: Manager, text: str) -> None:
    for broken in (text.replace('"count": 1', '"count": 2'), text[:-20], text.upper(), "", "null", "[" * 10_000):
        refused = manager.post(VERSIONS, {"manifest": broken})
        assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert list(manager.store.list_objects("models/")) == []


def test_a_tombstone_is_no_manifest(manager: Manager) -> None:
    ending = Ending(id="a" * 32, at="2026-01-01T00:00:00+00:00", by=BOB, reason="a mistake")
    tombstone = encode_tombstone(Tombstone(schema_version=2, model="m", version="1", tombstone=ending))

    refused = manager.post(VERSIONS, {"manifest": tombstone.decode()})

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert list(manager.store.list_objects("models/")) == []


def test_a_manifest_beyond_the_limit_is_refused(store_url: str, tmp_path: Path) -> None:
    manager = Manager.of(store_url, tmp_path, max_body_bytes=4_500_000)

    refused = manager.post(VERSIONS, {"manifest": "x" * 2_000_001})
    manager.gateway.close()

    assert (refused.status, refused.body["code"]) == (400, "invalid_input")
    assert refused.body["error"].startswith("manifest: ")
    assert "2000000" in refused.body["error"]
    assert len(refused.body["error"]) < 300


def test_a_store_in_a_folder_takes_no_uploads_and_gives_no_number(in_a_folder: Manager, text: str) -> None:
    refused = in_a_folder.post(VERSIONS, {"manifest": text})

    assert (refused.status, refused.body["code"]) == (501, "not_supported")
    assert list(in_a_folder.store.list_folders("models/")) == []


def test_what_was_put_into_a_folder_by_hand_is_finalised_there(in_a_folder: Manager, artifact: Path, text: str) -> None:
    store = in_a_folder.store
    version = claim(store, "m", Operation(ALICE)).version
    for name in json.loads(text)["files"]:
        store.create(file_key("m", version, name), artifact / name)

    finalised = in_a_folder.post(f"{VERSIONS}/{version}/finalise", {"manifest": text})

    assert finalised.status == 200, finalised.body
    published = fetch_manifest(store, "m", version).published
    assert published is not None
    assert published.by == ALICE
    assert hashlib.sha256(store.read(file_key("m", version, "fp32.onnx")).data).hexdigest() in text
