import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from handlers.errors import CorruptFile, UnsupportedManifest
from handlers.registry.manifest import PART_BYTES, Manifest, decode_manifest, encode_manifest
from tests.artifacts import make_artifact
from tests.graphs import affine

Json = dict[str, Any]
EXAMPLE = np.array([[0, 1, 2]], np.float32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("artifact")
    return make_artifact(folder, "affine", {"int8-static": affine(), "fp32": affine()}, [{"x": EXAMPLE}])


def resealed(manifest: Manifest, alter: Callable[[Json], None]) -> bytes:
    """The manifest as somebody else might write it: altered, and with the right hash."""
    document: Json = msgspec.json.decode(encode_manifest(manifest))
    alter(document)
    blank = msgspec.json.format(msgspec.json.encode(document | {"sha256": "0" * 64}), indent=2)
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def test_a_manifest_survives_the_round_trip(manifest: Manifest) -> None:
    numbered = msgspec.structs.replace(manifest, version="7")

    assert decode_manifest(encode_manifest(numbered), "m") == numbered


def test_a_manifest_that_was_resealed_unaltered_is_read(manifest: Manifest) -> None:
    assert decode_manifest(resealed(manifest, lambda _: None), "m") == manifest


def test_the_bytes_start_with_what_tells_the_reader_how_to_go_on(manifest: Manifest) -> None:
    lines = encode_manifest(manifest).splitlines()

    assert lines[0] == b"{"
    assert lines[1].startswith(b'  "sha256": "')
    assert lines[2:5] == [b'  "schema_version": 2,', b'  "model": "affine",', b'  "version": null,']


def test_a_newer_schema_is_refused_with_the_way_out_whatever_else_it_says(manifest: Manifest) -> None:
    def modernise(document: Json) -> None:
        document |= {"schema_version": 3, "variants": "elsewhere"}

    with pytest.raises(
        UnsupportedManifest, match=r"^m: manifest schema version 3, expected 1 to 2; upgrade lambdaserve"
    ):
        decode_manifest(resealed(manifest, modernise), "m")


@pytest.mark.parametrize(
    "path", [(), ("inputs", 0), ("variants", 0), ("variants", 0, "gate"), ("goldens",), ("task",), ("provenance",)]
)
def test_an_unknown_field_is_refused_wherever_it_is(manifest: Manifest, path: tuple[str | int, ...]) -> None:
    def extend(document: Json) -> None:
        place: Any = document
        for step in path:
            place = place[step]
        place["surprise"] = True

    with pytest.raises(CorruptFile, match="unknown field `surprise`"):
        decode_manifest(resealed(manifest, extend), "m")


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Manifest) if field.required])
def test_a_missing_field_is_refused(manifest: Manifest, field: str) -> None:
    def shorten(document: Json) -> None:
        del document[field]

    with pytest.raises(CorruptFile, match=f"missing required field `{field}`"):
        decode_manifest(resealed(manifest, shorten), "m")


@pytest.mark.parametrize("name", ["../fp32.onnx", "a/b", ".hidden", "", "a\n", "/etc/passwd", "a" * 101])
def test_a_file_name_that_leads_out_of_its_folder_is_refused(manifest: Manifest, name: str) -> None:
    def lead_out(document: Json) -> None:
        document["files"][name] = document["files"].pop("fp32.onnx")
        document["variants"][1]["file"] = name

    with pytest.raises(CorruptFile, match="regex"):
        decode_manifest(resealed(manifest, lead_out), "m")


def wrong_order(document: Json) -> None:
    document["variants"].reverse()


def no_variants(document: Json) -> None:
    document["variants"] = []


def same_names(document: Json) -> None:
    document["variants"][0]["name"] = "fp32"


def chosen_unknown(document: Json) -> None:
    document["chosen"]["arm64"]["variant"] = "int4"


def unknown_cpu(document: Json) -> None:
    document["chosen"]["riscv"] = document["chosen"]["arm64"]


def variant_file_missing(document: Json) -> None:
    del document["files"]["int8-static.onnx"]


def goldens_file_missing(document: Json) -> None:
    del document["files"]["goldens.npz"]


def part_hash_missing(document: Json) -> None:
    document["files"]["fp32.onnx"]["parts"] = []


def part_hash_too_many(document: Json) -> None:
    document["files"]["fp32.onnx"]["size"] = PART_BYTES
    document["files"]["fp32.onnx"]["parts"] *= 2


def no_sha256(document: Json) -> None:
    document["files"]["fp32.onnx"]["sha256"] = "A" * 64


def no_datatype(document: Json) -> None:
    document["inputs"][0]["datatype"] = "FLOAT"


def impossible_shape(document: Json) -> None:
    document["inputs"][0]["shape"] = [-2]


def unknown_task(document: Json) -> None:
    document["task"]["kind"] = "clairvoyance"


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (wrong_order, r"variants \['fp32', 'int8-static'\], expected fp32 as the last"),
        (no_variants, "variants"),
        (same_names, r"variants \['fp32', 'fp32'\], expected different names"),
        (chosen_unknown, r"'int4' chosen for arm64, expected one of \['int8-static', 'fp32'\]"),
        (unknown_cpu, "riscv"),
        (variant_file_missing, "no entry for file 'int8-static.onnx', expected one in `files`"),
        (goldens_file_missing, "no entry for file 'goldens.npz', expected one in `files`"),
        (part_hash_missing, r"0 part hashes for fp32.onnx of \d+ bytes, expected one for each 8388608"),
        (part_hash_too_many, "2 part hashes for fp32.onnx of 8388608 bytes"),
        (no_sha256, "regex"),
        (no_datatype, "FLOAT"),
        (impossible_shape, ">= -1"),
        (unknown_task, "clairvoyance"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    manifest: Manifest, alter: Callable[[Json], None], reason: str
) -> None:
    with pytest.raises(CorruptFile, match=f"^models/m/manifest.json: .*{reason}"):
        decode_manifest(resealed(manifest, alter), "models/m/manifest.json")


@pytest.mark.parametrize(("field", "value"), [("model", "../m"), ("version", "0")])
def test_a_name_that_is_none_is_refused(manifest: Manifest, field: str, value: str) -> None:
    with pytest.raises(CorruptFile):
        decode_manifest(encode_manifest(msgspec.structs.replace(manifest, **{field: value})), "m")


def test_the_chosen_variant_is_tried_first_and_the_rest_in_their_order(manifest: Manifest) -> None:
    def names(document: bytes) -> list[str]:
        return [variant.name for variant in decode_manifest(document, "m").variants_for("arm64")]

    def choose_fp32(document: Json) -> None:
        document["chosen"]["arm64"]["variant"] = "fp32"

    def choose_none(document: Json) -> None:
        document["chosen"] = {}

    assert names(encode_manifest(manifest)) == ["int8-static", "fp32"]
    assert names(resealed(manifest, choose_fp32)) == ["fp32", "int8-static"]
    assert names(resealed(manifest, choose_none)) == ["int8-static", "fp32"]
