"""The artifact folder appears whole or not at all, and nothing in it is believed unhashed."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from export.errors import OutputError
from export.judge import HeldOut
from export.package import HELD_OUT_FILE, new_artifact, read_artifact, read_held_out, write_held_out
from handlers.errors import CorruptFile, UnsupportedManifest
from handlers.registry.manifest import MANIFEST_FILE
from tests.export.conftest import Built
from tests.export.sources import change_manifest, contents, read_manifest


def write(out: Path, text: str) -> None:
    """Write an artifact of which nothing but the manifest's presence counts."""
    with new_artifact(out) as folder:
        (folder / MANIFEST_FILE).write_text(text)


def fail(out: Path, error: type[BaseException]) -> None:
    with new_artifact(out) as folder:
        (folder / "fp32.onnx").write_text("half")
        raise error


def test_new_folder_appears_at_the_end_with_its_parents(tmp_path: Path) -> None:
    out = tmp_path / "some" / "where"
    with new_artifact(out) as folder:
        (folder / MANIFEST_FILE).write_text("new")
        assert not out.exists()
    assert contents(tmp_path) == {"some/where/manifest.json": b"new"}
    assert out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_what_fails(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        fail(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "new")
    assert contents(tmp_path) == {"out/manifest.json": b"new"}


def test_older_artifact_is_replaced_whole(small_copy: Path) -> None:
    beside = sorted(small_copy.parent.iterdir())
    write(small_copy, "new")
    assert contents(small_copy) == {"manifest.json": b"new"}
    assert sorted(small_copy.parent.iterdir()) == beside


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_older_artifact_survives_what_fails(small_copy: Path, error: type[BaseException]) -> None:
    before = contents(small_copy.parent)
    with pytest.raises(error):
        fail(small_copy, error)
    assert contents(small_copy.parent) == before


def test_folder_in_which_somebody_keeps_more_than_an_artifact_is_refused_untouched(small_copy: Path) -> None:
    (small_copy / "thesis.tex").write_text("mine")
    before = contents(small_copy)
    with pytest.raises(OutputError, match="exists and is no artifact"):
        write(small_copy, "new")
    assert contents(small_copy) == before


def test_link_to_an_artifact_stays_a_link(small_copy: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(small_copy)
    write(link, "new")
    assert link.is_symlink()
    assert contents(small_copy) == {"manifest.json": b"new"}


def a_file(out: Path) -> None:
    out.write_text("mine")


def a_folder(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("mine")


def a_folder_with_a_manifest_of_something_else(out: Path) -> None:
    a_folder(out)
    (out / MANIFEST_FILE).write_text("{}")


@pytest.mark.parametrize("make", [a_file, a_folder, a_folder_with_a_manifest_of_something_else])
def test_what_is_no_artifact_is_refused_untouched(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(
        OutputError, match=rf"{re.escape(str(tmp_path))}/out: exists and is no artifact, expected a new or empty folde"
    ):
        write(tmp_path / "out", "new")
    assert contents(tmp_path) == before


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match=rf"{re.escape(str(tmp_path))}/file/out: cannot be written: \w+"):
        write(tmp_path / "file" / "out", "new")
    assert contents(tmp_path) == {"file": b"no folder"}


def test_artifact_is_read_as_it_was_built(small: Built) -> None:
    assert read_artifact(small.folder) == read_manifest(small.folder)


@pytest.mark.parametrize("file", ["fp32.onnx", "goldens.npz", "report.json"])
def test_missing_file_is_refused_with_the_hash_expected(small_copy: Path, file: str) -> None:
    expected = read_manifest(small_copy).files[file]
    (small_copy / file).unlink()
    with pytest.raises(CorruptFile, match=rf"/{file}: missing, expected {expected.size} bytes with.*{expected.sha256}"):
        read_artifact(small_copy)


def cut(content: bytes) -> bytes:
    return content[:-1]


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("file", ["fp32.onnx", "goldens.npz", "report.json"])
@pytest.mark.parametrize("damage", [cut, flip])
def test_damaged_file_is_refused_with_both_hashes(
    small_copy: Path, file: str, damage: Callable[[bytes], bytes]
) -> None:
    expected = read_manifest(small_copy).files[file]
    content = damage((small_copy / file).read_bytes())
    (small_copy / file).write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with pytest.raises(
        CorruptFile,
        match=rf"/{file}: {len(content)} bytes with sha256 {found}, expected {expected.size} with {expected.sha256}",
    ):
        read_artifact(small_copy)


def test_damaged_manifest_is_refused_with_both_hashes(small_copy: Path) -> None:
    path = small_copy / MANIFEST_FILE
    path.write_bytes(path.read_bytes().replace(b'"tiny"', b'"tinz"'))
    with pytest.raises(CorruptFile, match=r"/manifest.json: sha256 [0-9a-f]{64}, expected [0-9a-f]{64}$"):
        read_artifact(small_copy)


def test_manifest_of_another_schema_is_refused(small_copy: Path) -> None:
    change_manifest(small_copy, lambda manifest: msgspec.structs.replace(manifest, schema_version=99))
    with pytest.raises(UnsupportedManifest, match="manifest schema version 99, expected 1"):
        read_artifact(small_copy)


def test_folder_without_manifest_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no manifest.json, expected an artifact folder; make one with lambdaserve"):
        read_artifact(tmp_path)


def test_held_out_inputs_come_back_as_they_were(small: Built, tmp_path: Path) -> None:
    batches = [{"x": np.arange(8, dtype=np.float32).reshape(2, 4) + i} for i in range(2)]
    answers = [{"y": np.ones((2, 3), np.float32) * i} for i in range(2)]
    targets = [np.array([i, 1]) for i in range(2)]
    write_held_out(tmp_path, HeldOut(batches, answers, targets, held_out=False), ["x"], ["y"])
    found = read_held_out(tmp_path, read_manifest(small.folder))
    assert found is not None
    assert found.targets is not None
    for i in range(2):
        np.testing.assert_array_equal(found.inputs[i]["x"], batches[i]["x"])
        np.testing.assert_array_equal(found.outputs[i]["y"], answers[i]["y"])
        np.testing.assert_array_equal(found.targets[i], targets[i])
    assert not found.held_out


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 half a zip"])
def test_broken_held_out_inputs_are_refused_with_what_to_do(small_copy: Path, content: bytes) -> None:
    (small_copy / HELD_OUT_FILE).write_bytes(content)
    with pytest.raises(CorruptFile, match=r"/held-out.npz: .*; delete it to verify without them"):
        read_held_out(small_copy, read_manifest(small_copy))
