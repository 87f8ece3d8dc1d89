import math
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import ModelProto

from handlers.errors import CorruptFile, GoldenMismatch
from handlers.registry.manifest import Manifest
from handlers.runtime.goldens import check_goldens, deviation, read_goldens, replay, write_goldens
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from handlers.tasks.datatypes import NUMPY_TYPES
from tests.artifacts import make_artifact
from tests.graphs import affine, identity

INF, NAN = math.inf, math.nan
GIVEN: list[Arrays] = [{"x": np.array([[0, 1, 2]], np.float32)}, {"x": np.array([[3, 4, 5]], np.float32)}]


def check(folder: Path, graph: ModelProto, tolerance: dict[str, float]) -> None:
    """Replay the goldens of `affine()` through another graph."""
    manifest = make_artifact(folder, "m", {"fp32": graph}, GIVEN, proven=affine())
    variant = msgspec.structs.replace(manifest.variants[0], golden_tolerance=tolerance)
    session = Session(folder / "fp32.onnx", threads=1)
    check_goldens(session, read_goldens(folder / "goldens.npz", manifest), manifest.goldens, variant)


def test_right_answers_pass_without_tolerance(tmp_path: Path) -> None:
    check(tmp_path, affine(), {})


def test_answers_within_the_tolerance_of_their_output_pass(tmp_path: Path) -> None:
    check(tmp_path, affine(offset=1.5), {"y": 0.5})


@pytest.mark.parametrize("tolerance", [{}, {"y": 0.49}, {"x": 1.0}, {"y": NAN}])
def test_answers_beyond_it_are_refused(tmp_path: Path, tolerance: dict[str, float]) -> None:
    with pytest.raises(GoldenMismatch, match=r"^fp32: output 'y' is 0.5 from its goldens, expected at most "):
        check(tmp_path, affine(offset=1.5), tolerance)


def test_an_answer_that_is_no_number_is_refused_at_any_tolerance(tmp_path: Path) -> None:
    with pytest.raises(GoldenMismatch, match="output 'y' is inf from its goldens"):
        check(tmp_path, affine(offset=NAN), {"y": 1e30})


def test_every_golden_counts(tmp_path: Path) -> None:
    with pytest.raises(GoldenMismatch, match="output 'y' is 5 from its goldens"):
        check(tmp_path, affine(scale=3.0), {"y": 2.0})  # right enough for the first golden, not for the second


@pytest.mark.parametrize("datatype", ["BOOL", "INT64", "UINT64", "FP16", "BF16", "FP64", "BYTES"])
def test_goldens_of_any_datatype_are_read_as_they_were_written(tmp_path: Path, datatype: str) -> None:
    values: list[object] = ["", "ä", "two words"] if datatype == "BYTES" else [0, 1, 1]
    array = np.array(values).astype(NUMPY_TYPES[datatype])  # type: ignore[index]
    manifest = make_artifact(tmp_path, "m", {"fp32": identity(datatype, ["n"])}, [{"x": array}])  # type: ignore[arg-type]

    [(given, expected)] = read_goldens(tmp_path / "goldens.npz", manifest)

    assert given["x"].dtype == expected["y"].dtype == NUMPY_TYPES[datatype]  # type: ignore[index]
    np.testing.assert_array_equal(given["x"], array)
    assert replay(Session(tmp_path / "fp32.onnx", threads=1), [(given, expected)], 1) == {"y": 0.0}


def test_only_every_nth_element_is_kept_and_compared(tmp_path: Path) -> None:
    onnx.save(affine(), tmp_path / "fp32.onnx")
    session = Session(tmp_path / "fp32.onnx", threads=1)
    answer = session.run(GIVEN[0])["y"].reshape(-1)

    assert replay(session, [(GIVEN[0], {"y": answer[::2]})], 2) == {"y": 0.0}
    with pytest.raises(GoldenMismatch, match="output 'y': 2 golden elements, expected 3"):
        replay(session, [(GIVEN[0], {"y": answer})], 2)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return make_artifact(tmp_path, "m", {"fp32": affine()}, GIVEN)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04"])
def test_what_is_no_npz_file_is_refused(tmp_path: Path, manifest: Manifest, content: bytes) -> None:
    (tmp_path / "goldens.npz").write_bytes(content)

    with pytest.raises(CorruptFile, match=r"^goldens\.npz: .*expected an \.npz file with 2 goldens"):
        read_goldens(tmp_path / "goldens.npz", manifest)


def test_fewer_goldens_than_the_manifest_says_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    [first, _] = read_goldens(tmp_path / "goldens.npz", manifest)
    write_goldens(tmp_path / "goldens.npz", [first], manifest.inputs, manifest.outputs)

    with pytest.raises(CorruptFile, match=r"1\.input\.0"):
        read_goldens(tmp_path / "goldens.npz", manifest)


def test_a_pickle_is_never_opened(tmp_path: Path, manifest: Manifest) -> None:
    np.savez(tmp_path / "goldens.npz", **{"0.input.0": np.array([{}], dtype=object)})  # type: ignore[arg-type]

    with pytest.raises(CorruptFile, match="allow_pickle"):
        read_goldens(tmp_path / "goldens.npz", manifest)


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([1, 2], [1, 2], 0.0),
        ([1, 2], [1, 2.5], 0.5),
        ([NAN, INF, -INF], [NAN, INF, -INF], 0.0),
        ([NAN], [1], INF),
        ([1], [NAN], INF),
        ([INF], [-INF], INF),
        ([INF], [1], INF),
        ([], [], 0.0),
    ],
)
def test_numbers_deviate_by_their_largest_difference(
    found: list[float], expected: list[float], difference: float
) -> None:
    assert deviation(np.array(found, np.float32), np.array(expected, np.float32)) == difference


def test_text_is_right_or_wrong() -> None:
    right = np.array(["a", "b"], dtype=object)

    assert deviation(right.copy(), right) == 0.0
    assert deviation(np.array(["a", "c"], dtype=object), right) == INF
