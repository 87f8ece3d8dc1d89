import hashlib
import resource
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handlers.errors import CorruptFile, StoreUnavailable
from handlers.registry.fetch import describe_file, fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, PART_BYTES, Manifest, encode_manifest
from handlers.registry.names import file_key
from handlers.registry.stores import Store, open_store
from tests.artifacts import make_artifact
from tests.downloads import download
from tests.graphs import affine

BIG = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"the third part"
EXAMPLE = np.array([[0, 1, 2]], np.float32)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """An artifact with a file of three parts and an empty one beside the graph."""
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "big.bin").write_bytes(BIG)
    (folder / "empty.bin").touch()
    manifest = make_artifact(folder, "m", {"fp32": affine()}, [{"x": EXAMPLE}])
    return folder, msgspec.structs.replace(manifest, version="1")


@pytest.fixture
def manifest(artifact: tuple[Path, Manifest]) -> Manifest:
    return artifact[1]


@pytest.fixture
def store(store_url: str) -> Store:
    return open_store(store_url)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Store, name: str, content: bytes) -> str:
    key = file_key("m", "1", name)
    store.create(key, content)
    return key


def test_a_file_is_described_whole_and_by_part(artifact: tuple[Path, Manifest]) -> None:
    entry = describe_file(artifact[0] / "big.bin")

    assert (entry.size, entry.sha256) == (len(BIG), sha256(BIG))
    assert entry.parts == tuple(sha256(BIG[start : start + PART_BYTES]) for start in range(0, len(BIG), PART_BYTES))
    assert describe_file(artifact[0] / "empty.bin").parts == ()


def test_files_arrive_as_they_were_published(
    store: Store, artifact: tuple[Path, Manifest], manifest: Manifest, tmp_path: Path
) -> None:
    for name in manifest.files:
        put(store, name, (artifact[0] / name).read_bytes())

    download(store, manifest, list(manifest.files), tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in manifest.files} == {
        name: (artifact[0] / name).read_bytes() for name in manifest.files
    }


def test_one_flipped_byte_in_the_second_part_is_refused_with_the_file_and_both_hashes(
    store: Store, manifest: Manifest, tmp_path: Path
) -> None:
    altered = bytearray(BIG)
    altered[PART_BYTES + 12345] ^= 1
    key = put(store, "big.bin", bytes(altered))

    with pytest.raises(CorruptFile) as refusal:
        download(store, manifest, ["big.bin"], tmp_path)

    found = sha256(bytes(altered[PART_BYTES : 2 * PART_BYTES]))
    expected = manifest.files["big.bin"].parts[1]
    which = f"in bytes {PART_BYTES} to {2 * PART_BYTES - 1}"
    assert str(refusal.value) == (
        f"{key}: {PART_BYTES} bytes with sha256 {found} {which}, expected {PART_BYTES} with {expected}"
    )


@pytest.mark.parametrize("length", [0, 1, PART_BYTES - 1, PART_BYTES, len(BIG) - 1])
def test_a_truncated_file_is_refused_with_both_sizes(
    store: Store, manifest: Manifest, tmp_path: Path, length: int
) -> None:
    key = put(store, "big.bin", BIG[:length])

    with pytest.raises(CorruptFile, match=rf"^{key}: \d+ bytes with sha256 [0-9a-f]{{64}}.*, expected \d+ with"):
        download(store, manifest, ["big.bin"], tmp_path)


def test_a_file_of_one_part_is_refused_with_its_whole_hash(store: Store, manifest: Manifest, tmp_path: Path) -> None:
    key = put(store, "fp32.onnx", b"something else")

    with pytest.raises(CorruptFile) as refusal:
        download(store, manifest, ["fp32.onnx"], tmp_path)

    entry = manifest.files["fp32.onnx"]
    found = f"14 bytes with sha256 {sha256(b'something else')}"
    assert str(refusal.value) == f"{key}: {found}, expected {entry.size} with {entry.sha256}"


def test_a_missing_file_is_refused_with_what_was_expected(store: Store, manifest: Manifest, tmp_path: Path) -> None:
    entry = manifest.files["fp32.onnx"]

    with pytest.raises(CorruptFile) as refusal:
        download(store, manifest, ["fp32.onnx"], tmp_path)

    key = file_key("m", "1", "fp32.onnx")
    assert str(refusal.value) == f"{key}: missing, expected {entry.size} bytes with sha256 {entry.sha256}"


def test_a_full_disk_is_told_with_what_to_do(store: Store, manifest: Manifest, tmp_path: Path) -> None:
    put(store, "big.bin", BIG)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PART_BYTES // 2, limits[1]))
    try:
        with pytest.raises(StoreUnavailable, match=r"cannot be written \(File too large\), expected room") as refusal:
            download(store, manifest, ["big.bin"], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert str(tmp_path) in str(refusal.value)
    assert "ephemeral storage" in str(refusal.value)


def test_a_published_manifest_is_read(store: Store, manifest: Manifest) -> None:
    put(store, MANIFEST_FILE, encode_manifest(manifest))

    assert fetch_manifest(store, "m", "1") == manifest


def test_a_missing_manifest_is_refused(store: Store) -> None:
    key = file_key("m", "1", MANIFEST_FILE)

    with pytest.raises(CorruptFile, match=f"^{key}: missing, expected the manifest of version 1"):
        fetch_manifest(store, "m", "1")


def test_the_manifest_of_another_version_is_refused(store: Store, manifest: Manifest) -> None:
    put(store, MANIFEST_FILE, encode_manifest(msgspec.structs.replace(manifest, version="2")))

    with pytest.raises(CorruptFile, match="describes m version 2, expected m version 1"):
        fetch_manifest(store, "m", "1")


def test_an_unpublished_manifest_is_refused(store: Store, manifest: Manifest) -> None:
    put(store, MANIFEST_FILE, encode_manifest(msgspec.structs.replace(manifest, version=None)))

    with pytest.raises(CorruptFile, match="describes m version None, expected m version 1"):
        fetch_manifest(store, "m", "1")
