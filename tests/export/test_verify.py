"""`verify` replays the proof where it runs, without torch, and passes only what would be served as it was chosen."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from export.package import HELD_OUT_FILE
from export.verify import Verification, verify
from handlers.errors import CorruptFile
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import Manifest, Variant
from handlers.runtime.goldens import read_goldens, write_goldens
from tests.export.command import lambdaserve
from tests.export.conftest import Built
from tests.export.sources import change_manifest, read_manifest, silent


def verified(folder: Path) -> Verification:
    return verify(folder, 1, silent())


def change_variants(folder: Path, change: dict[str, object], *names: str) -> None:
    """Rewrite the manifest with other values for some variants (none named: all)."""

    def changed(variant: Variant) -> Variant:
        return msgspec.structs.replace(variant, **change) if not names or variant.name in names else variant

    def rewritten(manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, variants=tuple(map(changed, manifest.variants)))

    change_manifest(folder, rewritten)


def alter_goldens(folder: Path, by: float) -> None:
    """Add to every golden output, and let the manifest have the new file's hash."""
    manifest = read_manifest(folder)
    path = folder / manifest.goldens.file
    goldens = [(given, {name: y + np.float32(by) for name, y in right.items()}) for given, right in read(folder)]
    write_goldens(path, goldens, manifest.inputs, manifest.outputs)
    files = manifest.files | {path.name: describe_file(path)}
    change_manifest(folder, lambda old: msgspec.structs.replace(old, files=files))


def read(folder: Path) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    manifest = read_manifest(folder)
    return read_goldens(folder / manifest.goldens.file, manifest)


def test_fresh_artifact_passes_with_the_score_that_it_was_built_with(large: Built) -> None:
    result = verified(large.folder)
    assert (result.verdict, result.served, result.chosen) == ("passed", large.report.chosen, large.report.chosen)
    built = {variant.name: variant for variant in read_manifest(large.folder).variants}
    assert [check.variant for check in result.checks] == list(built)
    for check in result.checks:
        assert check.problem is None
        assert check.gate is not None
        assert check.gate.score == pytest.approx(built[check.variant].gate.score, abs=0.01)
        assert check.gate.metric == "accuracy"
        assert check.built_latency_ms == built[check.variant].latency_ms


@pytest.mark.parametrize("artifact", ["small", "large"])
def test_command_passes_where_neither_torch_nor_onnx_is_installed(
    artifact: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(artifact).folder
    done = lambdaserve("verify", folder)
    assert done.returncode == 0, done.stderr
    assert "passed: " in done.stdout


def test_works_without_held_out_inputs_and_says_that_the_gate_was_not_measured(small_copy: Path) -> None:
    (small_copy / HELD_OUT_FILE).unlink()
    result = verified(small_copy)
    assert result.verdict == "passed"
    assert [check.gate for check in result.checks] == [None]
    assert "not measured: no" in lambdaserve("verify", small_copy).stdout


def test_chosen_variant_that_misses_its_goldens_fails_and_the_next_would_be_served(large_copy: Path) -> None:
    first, second, *_ = [variant.name for variant in read_manifest(large_copy).variants]
    change_variants(large_copy, {"golden_tolerance": {"y": 0.0}}, first)
    result = verified(large_copy)
    assert (result.verdict, result.chosen, result.served) == ("failed", first, second)
    problem = result.checks[0].problem
    assert problem is not None
    assert "from its goldens, expected at most 0" in problem
    done = lambdaserve("verify", large_copy)
    assert done.returncode == 1
    assert f"failed: {first} was chosen, {second} would be served here" in " ".join(done.stdout.split())


def test_altered_goldens_fail_every_variant(small_copy: Path) -> None:
    alter_goldens(small_copy, 0.5)
    result = verified(small_copy)
    assert (result.verdict, result.served) == ("failed", None)
    assert all(check.problem for check in result.checks)
    done = lambdaserve("verify", small_copy, "--json")
    assert done.returncode == 1
    assert msgspec.json.decode(done.stdout)["served"] is None


def test_gate_that_does_not_hold_here_fails(small_copy: Path) -> None:
    gate = read_manifest(small_copy).variants[-1].gate
    change_variants(small_copy, {"gate": msgspec.structs.replace(gate, allowed=-0.5)})
    result = verified(small_copy)
    assert result.verdict == "failed"
    assert result.checks[0].problem is not None
    assert result.checks[0].problem.endswith("% of agreement here, allowed -50.00%")


def test_agreement_stands_in_for_a_metric_that_is_a_function_of_the_users(large_copy: Path) -> None:
    gate = read_manifest(large_copy).variants[-1].gate
    change_variants(large_copy, {"gate": msgspec.structs.replace(gate, metric="top_3")})
    metrics = {check.gate.metric for check in verified(large_copy).checks if check.gate}
    assert metrics == {"agreement"}


def test_altered_file_is_refused_before_anything_is_run(small_copy: Path) -> None:
    with (small_copy / "fp32.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CorruptFile, match=r"fp32\.onnx"):
        verified(small_copy)
    done = lambdaserve("verify", small_copy)
    assert (done.returncode, done.stdout) == (1, "")
    assert "fp32.onnx" in done.stderr
    assert "Traceback" not in done.stderr


def test_model_with_other_names_than_the_manifest_is_not_served(small_copy: Path) -> None:
    change_manifest(
        small_copy,
        lambda old: msgspec.structs.replace(old, outputs=(msgspec.structs.replace(old.outputs[0], shape=(-1, 99)),)),
    )
    (small_copy / HELD_OUT_FILE).unlink()
    result = verified(small_copy)
    assert result.served is None
    assert result.checks[0].problem is not None
    assert "signature" in result.checks[0].problem
