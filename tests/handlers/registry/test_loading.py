import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handlers.errors import CorruptFile, GoldenMismatch, ModelNotReady
from handlers.registry.models import Models
from handlers.settings import Settings
from tests.artifacts import publish_graphs
from tests.graphs import affine
from tests.handlers.registry.recorder import Recorder

WAIT_S = 60.0
EXAMPLE = np.array([[0, 1, 2]], np.float32)
GOLDENS = [{"x": EXAMPLE}]
RIGHT, WRONG, WORSE = affine(2.0, 1.0), affine(2.0, 1.5), affine(3.0, 1.0)


def version_folder(settings: Settings, model: str, version: str) -> Path:
    return Path(settings.store_url.removeprefix("file://")) / "models" / model / "versions" / version


def replace_file(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_the_time_of_every_phase_is_known(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"fp32": RIGHT}, GOLDENS)

    models = Models(settings, recorder)
    models.await_all(WAIT_S)

    phases = {"alias", "manifest", "fetch", "runtime_import", "session", "goldens", "task"}
    assert set(models.loaded[0].phases_ms) == phases


def test_a_variant_whose_goldens_fail_is_passed_over_for_the_next_that_passes(
    settings: Settings, recorder: Recorder
) -> None:
    variants = {"int8-static": WRONG, "int8-dynamic": RIGHT, "fp32": RIGHT}
    publish_graphs(settings.store_url, "m", variants, GOLDENS)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].variant.name == "int8-dynamic"
    [(model, version, variant, error)] = recorder.passed_over
    assert (model, version, variant) == ("m", "1", "int8-static")
    assert isinstance(error, GoldenMismatch)
    assert str(error) == "int8-static: output 'y' is 0.5 from its goldens, expected at most 0"


def test_a_variant_that_does_not_open_is_passed_over(settings: Settings, recorder: Recorder) -> None:
    unknown_operator = affine()
    unknown_operator.graph.node[0].op_type = "Clairvoyance"
    publish_graphs(settings.store_url, "m", {"int8-static": unknown_operator, "fp32": RIGHT}, GOLDENS)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].variant.name == "fp32"
    assert [entry[2] for entry in recorder.passed_over] == ["int8-static"]
    assert "Clairvoyance" in str(recorder.passed_over[0][3])


def test_a_variant_with_other_tensors_than_the_manifest_says_is_passed_over(
    settings: Settings, recorder: Recorder
) -> None:
    renamed = affine()
    renamed.graph.input[0].name = renamed.graph.node[0].input[0] = "z"
    publish_graphs(settings.store_url, "m", {"int8-static": renamed, "fp32": RIGHT}, GOLDENS)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].variant.name == "fp32"
    assert "signature" in str(recorder.passed_over[0][3])


def test_fp32_is_the_last_to_be_tried(settings: Settings, recorder: Recorder) -> None:
    variants = {"int8-static": WRONG, "int8-dynamic": WORSE, "fp32": RIGHT}
    publish_graphs(settings.store_url, "m", variants, GOLDENS)
    models = Models(settings, recorder)

    models.await_all(WAIT_S)

    assert models.loaded[0].variant.name == "fp32"
    assert [entry[2] for entry in recorder.passed_over] == ["int8-static", "int8-dynamic"]


def test_a_model_no_variant_of_which_passes_is_not_ready(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"int8-static": WRONG, "fp32": WORSE}, GOLDENS, proven=RIGHT)
    models = Models(settings, recorder)

    with pytest.raises(ModelNotReady, match="model 'm' version 1: none of the variants int8-static, fp32 answers"):
        models.await_all(WAIT_S)

    assert [entry[2] for entry in recorder.passed_over] == ["int8-static", "fp32"]
    assert [name for name, _ in recorder.failed] == ["m"]
    assert models.loaded == []


@pytest.mark.parametrize("file", ["int8-static.onnx", "goldens.npz"])
def test_an_altered_file_is_no_reason_to_serve_another_variant(
    settings: Settings, recorder: Recorder, file: str
) -> None:
    publish_graphs(settings.store_url, "m", {"int8-static": RIGHT, "fp32": RIGHT}, GOLDENS)
    path = version_folder(settings, "m", "1") / file
    original = path.read_bytes()
    altered = original[:-1] + bytes([original[-1] ^ 1])
    replace_file(path, altered)
    models = Models(settings, recorder)

    with pytest.raises(ModelNotReady) as refusal:
        models.await_all(WAIT_S)

    for expected in (
        f"models/m/versions/1/{file}",
        *(hashlib.sha256(data).hexdigest() for data in (original, altered)),
    ):
        assert expected in str(refusal.value)
    assert (models.loaded, recorder.passed_over) == ([], [])
    [(name, error)] = recorder.failed
    assert (name, type(error)) == ("m", CorruptFile)


def test_an_altered_fallback_is_not_served(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "m", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    replace_file(version_folder(settings, "m", "1") / "fp32.onnx", b"")
    models = Models(settings, recorder)

    with pytest.raises(ModelNotReady, match=r"models/m/versions/1/fp32\.onnx: 0 bytes with sha256"):
        models.await_all(WAIT_S)


def test_nothing_is_left_in_the_scratch_folder(settings: Settings, recorder: Recorder) -> None:
    publish_graphs(settings.store_url, "good", {"int8-static": WRONG, "fp32": RIGHT}, GOLDENS)
    publish_graphs(settings.store_url, "bad", {"fp32": RIGHT}, GOLDENS)
    replace_file(version_folder(settings, "bad", "1") / "fp32.onnx", b"")
    models = Models(replace(settings, pinned=("bad", "good")), recorder)

    with pytest.raises(ModelNotReady):
        models.await_all(WAIT_S)

    assert [model.name for model in models.loaded] == ["good"]
    assert list(settings.scratch_dir.iterdir()) == []
