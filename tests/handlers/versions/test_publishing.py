"""The end of a publication: every file is checked where it is, and the manifest is written once."""

import base64
import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from handlers.errors import OperationReused, StoreUnavailable, UploadIncomplete, VersionRetired
from handlers.registry.fetch import describe_file, fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, PART_BYTES, SCHEMA_VERSION, Manifest, decode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store, open_store
from handlers.versions.aliasing import retire
from handlers.versions.publishing import check_uploaded, finish
from tests.faults import FailingStore
from tests.published import ada, uploaded
from tests.servers.s3 import S3Server


@pytest.fixture(scope="session")
def manifest(artifact: Path) -> Manifest:
    return decode_manifest((artifact / MANIFEST_FILE).read_bytes(), "artifact")


def test_a_finished_version_says_which_operation_published_it_when_and_by_whom(
    store: Store, artifact: Path, manifest: Manifest
) -> None:
    taken = uploaded(store, artifact)

    written = finish(store, taken, manifest)

    assert written == fetch_manifest(store, "m", "1")
    assert written.published is not None
    assert (written.published.id, written.published.by) == (taken.id, "ada@host")
    assert written.published.at >= taken.at
    assert msgspec.structs.replace(written, version=None, published=None) == manifest


def test_an_artifact_of_an_older_schema_is_published_in_the_present_one(
    store: Store, artifact: Path, manifest: Manifest
) -> None:
    older = msgspec.structs.replace(manifest, schema_version=1)

    finish(store, uploaded(store, artifact), older)

    assert fetch_manifest(store, "m", "1").schema_version == SCHEMA_VERSION


def test_finishing_again_changes_nothing(store: Store, artifact: Path, manifest: Manifest) -> None:
    taken = uploaded(store, artifact)
    first = finish(store, taken, manifest)

    assert finish(store, taken, manifest) == first
    with pytest.raises(OperationReused, match="version 1 of 'm': finished by operation"):
        finish(store, taken, msgspec.structs.replace(manifest, warnings=("another",)))
    with pytest.raises(OperationReused, match="expected none or the same of operation bbbb"):
        finish(store, msgspec.structs.replace(taken, id="b" * 32), manifest)
    assert fetch_manifest(store, "m", "1") == first


def test_a_number_that_is_retired_before_anything_else_goes_is_not_said_to_be_published(
    store: Store, artifact: Path, manifest: Manifest
) -> None:
    taken = uploaded(store, artifact)
    retire(store, "m", taken.version, ada("a mistake"))

    with pytest.raises(VersionRetired, match=r"version 1 of 'm': deleted at .* by ada@host \(a mistake\)"):
        finish(store, taken, manifest)


def test_a_manifest_whose_answer_got_lost_was_written(store: Store, artifact: Path, manifest: Manifest) -> None:
    taken = uploaded(store, artifact)

    written = finish(FailingStore(store, 1, after_doing=True), taken, manifest)

    assert written == fetch_manifest(store, "m", "1")


def test_a_manifest_that_was_not_written_can_be_written_again(store: Store, artifact: Path, manifest: Manifest) -> None:
    taken = uploaded(store, artifact)
    with pytest.raises(StoreUnavailable, match="connection lost"):
        finish(FailingStore(store, 1), taken, manifest)

    assert finish(store, taken, manifest).version == "1"


def test_files_that_are_all_there_are_complete(store: Store, artifact: Path, manifest: Manifest) -> None:
    check_uploaded(store, "m", uploaded(store, artifact).version, manifest)


def test_every_file_that_is_missing_cut_short_or_altered_is_named(
    store: Store, artifact: Path, manifest: Manifest
) -> None:
    version = uploaded(store, artifact).version
    content = (artifact / "fp32.onnx").read_bytes()
    for name, data in {"fp32.onnx": content[:-1] + b"!", "goldens.npz": b"short"}.items():
        store.delete(file_key("m", version, name))
        store.create(file_key("m", version, name), data)
    store.delete(file_key("m", version, "int8-static.onnx"))

    with pytest.raises(UploadIncomplete) as raised:
        check_uploaded(store, "m", version, manifest)

    message = str(raised.value)
    assert f"fp32.onnx: sha256 {hashlib.sha256(content[:-1] + b'!').hexdigest()}, expected " in message
    assert f"goldens.npz: 5 bytes, expected {manifest.files['goldens.npz'].size}" in message
    assert "int8-static.onnx: missing, expected" in message


def test_a_hash_that_s3_keeps_is_taken_without_reading(
    s3_environment: S3Server, s3_bucket: str, artifact: Path, manifest: Manifest
) -> None:
    store = open_store(f"s3://{s3_bucket}/{artifact.name}")
    prefix = urlsplit(store.url).path[1:]
    for name in manifest.files:
        data = (artifact / name).read_bytes()
        s3_environment.client().put_object(
            Bucket=s3_bucket,
            Key=f"{prefix}/{file_key('m', '1', name)}",
            Body=data,
            ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
        )
    unread = FailingStore(store, 1, "read")
    unread.describe = store.describe  # type: ignore[method-assign]  # that may be asked

    check_uploaded(unread, "m", "1", manifest)

    assert unread.calls == 0
    altered = msgspec.structs.replace(manifest.files["fp32.onnx"], sha256="0" * 64)
    with pytest.raises(UploadIncomplete, match=f"fp32.onnx: sha256 .*, expected {'0' * 64}"):
        check_uploaded(
            unread, "m", "1", msgspec.structs.replace(manifest, files=manifest.files | {"fp32.onnx": altered})
        )


def test_hashes_of_parts_are_checked_as_those_of_files_are(store: Store, artifact: Path, manifest: Manifest) -> None:
    version = uploaded(store, artifact).version
    large = bytes(PART_BYTES) + b"and more"
    (artifact / "large").write_bytes(large)
    store.create(file_key("m", version, "large"), large)
    entry = describe_file(artifact / "large")
    altered = msgspec.structs.replace(entry, parts=(entry.parts[0], "0" * 64))

    check_uploaded(store, "m", version, msgspec.structs.replace(manifest, files={"large": entry}))
    with pytest.raises(UploadIncomplete, match="large: parts other than those that the manifest says"):
        check_uploaded(store, "m", version, msgspec.structs.replace(manifest, files={"large": altered}))
