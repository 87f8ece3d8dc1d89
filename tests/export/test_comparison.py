"""Two versions side by side: what the comparison holds, and what its table colours."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console

from export.comparison_table import to_comparison_table
from handlers.registry.manifest import Manifest
from handlers.versions.comparison import Comparison, Figures, Pair, VariantPair, compare
from tests.artifacts import make_artifact
from tests.graphs import affine, dense

GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", ""


@pytest.fixture
def present(tmp_path: Path) -> Manifest:
    return numbered(make_artifact(tmp_path / "1", "m", {"int8": affine(), "fp32": affine()}, [example(3)]), "1")


def example(width: int) -> dict[str, np.ndarray]:
    return {"x": np.zeros((1, width), np.float32)}


def numbered(manifest: Manifest, version: str) -> Manifest:
    return msgspec.structs.replace(manifest, version=version)


def judged(manifest: Manifest, **gate: object) -> Manifest:
    """The same version with other gates."""
    variants = tuple(
        msgspec.structs.replace(variant, gate=msgspec.structs.replace(variant.gate, **gate))
        for variant in manifest.variants
    )
    return msgspec.structs.replace(manifest, version="2", variants=variants)


def measured(manifest: Manifest, **figures: object) -> Manifest:
    """The same version with other figures of its variants."""
    variants = tuple(msgspec.structs.replace(variant, **figures) for variant in manifest.variants)
    return msgspec.structs.replace(manifest, version="2", variants=variants)


def change_of(found: Comparison, row: str) -> tuple[str, str]:
    """Return the colour and the words of the last cell of a row."""
    console = Console(file=(stream := io.StringIO()), force_terminal=True, color_system="standard", width=250)
    console.print(to_comparison_table(found))
    [line] = [line for line in stream.getvalue().splitlines() if f"│ {row} " in line]
    cell = line.split("│")[-2].strip()
    for colour in (GREEN, RED):
        if colour in cell:
            return colour, cell.removeprefix(colour).partition("\x1b")[0].strip()
    return PLAIN, cell


def test_a_version_is_as_itself(present: Manifest) -> None:
    found = compare(present, numbered(present, "2"))

    assert (found.model, found.before, found.after, found.compatible) == ("m", "1", "2", True)
    assert (found.differences, found.files) == ([], [])
    assert all(pair.before == pair.after for pair in found.variants)
    assert all(pair.before == pair.after for pair in (*found.chosen, *found.origins))
    assert change_of(found, "int8: accuracy") == (PLAIN, "same")


def test_figures_are_those_of_the_manifest_with_all_files_of_a_variant(tmp_path: Path, present: Manifest) -> None:
    graph = dense(600, 1)  # of weights that lie in a file of their own
    new = numbered(make_artifact(tmp_path / "2", "m", {"fp32": graph}, [example(600)]), "2")
    variant = new.variants[0]
    assert variant.data is not None

    found = compare(present, new)

    assert found.variants[0].after == Figures(
        size_bytes=new.files[variant.file].size + new.files[variant.data].size,
        metric="accuracy",
        score=1.0,
        loss=0.0,
        passed=True,
        samples=1,
        latency_ms=1.0,
        peak_memory_bytes=1,
    )
    assert found.variants[1] == VariantPair("int8", found.variants[1].before, None)
    assert [(file.name, file.before is None, file.after is None) for file in found.files] == [
        ("fp32.onnx", False, False),
        ("fp32.onnx.data", True, False),
        ("goldens.npz", False, False),
        ("int8.onnx", False, True),
    ]
    assert found.chosen == [Pair(cpu, "int8", "fp32") for cpu in ("x86_64-vnni", "x86_64", "arm64")]
    assert found.compatible is False


def test_it_travels_as_json(present: Manifest) -> None:
    found = compare(present, judged(present, score=0.5))

    assert msgspec.json.decode(msgspec.json.encode(found), type=Comparison) == found


@pytest.mark.parametrize(
    ("figures", "row", "expected"),
    [
        ({"latency_ms": 0.5}, "int8: time of a run", (GREEN, "-50.0%")),
        ({"latency_ms": 2.0}, "int8: time of a run", (RED, "+100.0%")),
        ({"latency_ms": 1.01}, "int8: time of a run", (PLAIN, "+1.0%")),  # noise
        ({"peak_memory_bytes": 2}, "fp32: peak memory", (RED, "+100.0%")),
    ],
)
def test_less_time_and_memory_is_better(
    figures: dict[str, object], row: str, expected: tuple[str, str], present: Manifest
) -> None:
    assert change_of(compare(present, measured(present, **figures)), row) == expected


@pytest.mark.parametrize(
    ("gate", "row", "expected"),
    [
        ({"score": 0.5}, "int8: accuracy", (RED, "-50.0%")),
        ({"loss": 0.005}, "int8: loss", (RED, "+0.50 points")),
        ({"loss": -0.005}, "int8: loss", (GREEN, "-0.50 points")),
        ({"passed": False}, "int8: gate", (RED, "failed")),
        ({"metric": "mse", "score": 0.1}, "int8: mse", (PLAIN, "")),  # says nothing of accuracy
        ({"metric": "mse", "score": 0.1}, "int8: accuracy", (PLAIN, "")),
    ],
)
def test_scores_and_losses_are_better_or_worse(
    gate: dict[str, object], row: str, expected: tuple[str, str], present: Manifest
) -> None:
    assert change_of(compare(present, judged(present, **gate)), row) == expected


@pytest.mark.parametrize(("metric", "colour"), [("mse", GREEN), ("agreement", RED), ("my-own", PLAIN)])
def test_which_way_a_score_is_better_is_the_metrics_matter(metric: str, colour: str, present: Manifest) -> None:
    before, after = judged(present, metric=metric, score=0.5), judged(present, metric=metric, score=0.25)

    assert change_of(compare(before, after), f"int8: {metric}") == (colour, "-50.0%")


def test_what_does_not_fit_is_red_and_what_is_new_and_fits_green(present: Manifest) -> None:
    extra = msgspec.structs.replace(present.outputs[0], name="z")
    wide = msgspec.structs.replace(present.inputs[0], shape=(-1, 4))
    two = msgspec.structs.replace(present, outputs=(*present.outputs, extra))
    three = msgspec.structs.replace(
        two, version="2", inputs=(wide,), outputs=(*two.outputs, msgspec.structs.replace(extra, name="w"))
    )

    found = compare(two, three)

    assert change_of(found, "input x") == (RED, "axis 1 took 3")
    assert change_of(found, "output w") == (GREEN, "compatible")
