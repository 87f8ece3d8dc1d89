"""What a cold start waited for, and what is said of it."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from export.critical_path import Phase, Step, Subject, advise, critical_path
from handlers.registry.manifest import FileEntry, Manifest
from tests.artifacts import make_artifact
from tests.graphs import affine

MB = 1_000_000


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Of two variants, fp32 of 440 MB and int8-dynamic of 110 MB, with two goldens."""
    graphs = {"int8-dynamic": affine(), "fp32": affine()}
    example = {"x": np.array([[0, 1, 2]], np.float32)}
    made = make_artifact(tmp_path, "affine", graphs, [example, example])
    sizes = {"fp32.onnx": 440 * MB, "int8-dynamic.onnx": 110 * MB}
    files = {
        name: FileEntry(sizes.get(name, entry.size), entry.sha256, entry.parts) for name, entry in made.files.items()
    }
    return msgspec.structs.replace(made, files=files)


def advice(manifest: Manifest, variant: str, *phases: Phase) -> tuple[str, list[str]]:
    return advise(critical_path(phases), phases, Subject(manifest, variant))


OVERLAPPING = (
    Phase("interpreter", 0, 100),
    Phase("web_import", 100, 400),
    Phase("fetch", 110, 1510),
    Phase("session", 1510, 1700),
    Phase("answer", 1710, 1720),
)


def test_what_ran_beside_longer_phases_is_not_on_the_path_and_gaps_are() -> None:
    path = critical_path(OVERLAPPING)

    assert path == [
        Step("interpreter", 100),
        Step("between", 10),
        Step("fetch", 1400),
        Step("session", 190),
        Step("between", 10),
        Step("answer", 10),
    ]
    assert sum(step.duration_ms for step in path) == 1720


def test_nothing_but_the_answer_waits_for_the_web_framework() -> None:
    loaded = [Phase("runtime_import", 0, 300), Phase("web_import", 10, 310), Phase("session", 311, 400)]

    assert [step.phase for step in critical_path(loaded)] == ["runtime_import", "between", "session"]
    assert [step.phase for step in critical_path([*loaded[:2], Phase("answer", 310, 320)])] == [
        *("between", "web_import", "answer")
    ]


def test_the_path_begins_with_the_process_also_where_no_phase_does() -> None:
    assert critical_path([Phase("fetch", 30, 50)]) == [Step("between", 30), Step("fetch", 20)]


def test_a_phase_of_no_length_ends_no_search() -> None:
    phases = [Phase("fetch", 0, 10), Phase("alias", 10, 10), Phase("session", 10, 20)]

    assert critical_path(phases) == [Step("fetch", 10), Step("session", 10)]


def test_many_bytes_are_told_with_their_rate_and_what_a_smaller_variant_would_take(manifest: Manifest) -> None:
    attack, [said] = advice(manifest, "fp32", *OVERLAPPING)

    assert attack == "fetch"
    assert said.startswith("fetch: 1,400 ms of 1,720 ms: 440.0 MB at 314.3 MB/s: the bytes are the bottleneck. ")
    assert "int8-dynamic of 110.0 MB, would take 350 ms: build with `--prefer size`" in said


def test_where_nothing_is_smaller_no_variant_is_promised(manifest: Manifest) -> None:
    _, [said] = advice(manifest, "int8-dynamic", *OVERLAPPING)

    assert "No variant of this version is much smaller" in said


def test_few_bytes_that_take_long_are_the_way_to_the_store(manifest: Manifest) -> None:
    small = msgspec.structs.replace(
        manifest, files={name: FileEntry(1000, entry.sha256, entry.parts) for name, entry in manifest.files.items()}
    )

    _, [said] = advice(small, "fp32", *OVERLAPPING)

    assert "2.0 kB are few" in said
    assert "function's region" in said


def test_imports_are_one_and_the_model_that_was_ready_before_is_told(manifest: Manifest) -> None:
    attack, said = advice(
        manifest,
        "fp32",
        Phase("interpreter", 0, 100),
        Phase("fetch", 100, 300),
        Phase("web_import", 100, 500),
        Phase("answer", 500, 520),
    )

    assert attack == "imports"
    assert said[0].startswith("imports: 500 ms of 520 ms: ")
    assert "SnapStart or provisioned concurrency" in said[0]
    assert said[1] == "your model was ready 200 ms before that had ended: nothing waited for it"


def test_where_imports_are_the_most_the_largest_of_the_models_own_follows(manifest: Manifest) -> None:
    attack, said = advice(
        manifest, "fp32", Phase("interpreter", 0, 500), Phase("session", 500, 800), Phase("goldens", 800, 900)
    )

    assert attack == "imports"
    assert said[1].startswith("of what is your model's, session: 300 ms of 900 ms: onnxruntime opens fp32, 440.0 MB")


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("session", "onnxruntime opens fp32, 440.0 MB"),
        ("goldens", "2 runs of 53.0 ms"),
        ("task", "opening the task"),
        ("answer", "the first request itself"),
        ("alias", "asking the store for the alias and the manifest"),
    ],
)
def test_every_phase_has_its_advice(manifest: Manifest, phase: str, expected: str) -> None:
    _, said = advice(manifest, "fp32", Phase(phase, 0, 106))

    assert re.search(rf"106 ms of 106 ms: {expected}", said[0])
