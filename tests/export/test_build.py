"""A build writes a complete artifact, in which the variant that was chosen is the smallest that is right and fast."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from export import Evaluation
from export.build import build
from export.errors import ConversionError
from export.package import read_artifact
from export.reference import Reference
from export.report import Report, Trial
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.goldens import check_goldens, read_goldens
from handlers.runtime.session import Session
from tests.export.conftest import Built, built
from tests.export.sources import OPTIONS, mlp, normal, read_manifest, silent, source_of

OTHER_FILES = {"manifest.json", "report.json", "report.html", "goldens.npz", "held-out.npz"}


def trials(report: Report) -> dict[str, Trial]:
    return {trial.name: trial for trial in report.trials}


def test_int8_is_chosen_where_it_is_right_and_pays(large: Built) -> None:
    by_name = trials(large.report)
    chosen, fp32 = by_name[large.report.chosen], by_name["fp32"]
    assert chosen.name.startswith("int8-")
    assert chosen.size_bytes is not None
    assert fp32.size_bytes is not None
    assert chosen.size_bytes <= 0.3 * fp32.size_bytes
    assert chosen.gate is not None
    assert chosen.gate.passed
    assert (chosen.gate.metric, chosen.gate.reference, chosen.gate.samples) == ("accuracy", 1.0, 150)
    assert chosen.gate.loss <= OPTIONS.max_loss
    assert (chosen.verdict, chosen.why) == ("chosen", "the smallest product of size and time that passes")
    assert (fp32.verdict, fp32.why) == ("packaged", "the last resort")


def test_artifact_holds_what_its_manifest_names_and_nothing_that_was_rejected(large: Built) -> None:
    manifest = read_artifact(large.folder)
    packaged = [trial.name for trial in large.report.trials if trial.verdict in {"chosen", "packaged"}]
    assert sorted(variant.name for variant in manifest.variants) == sorted(packaged)
    files = {file for variant in manifest.variants for file in variant.files}
    assert {f"{name}.onnx" for name in packaged} <= files
    assert {path.name for path in large.folder.iterdir()} == files | OTHER_FILES
    assert set(manifest.files) == files | {"report.json", "report.html", "goldens.npz"}


def test_manifest_says_what_was_built_and_measured(large: Built) -> None:
    manifest = read_manifest(large.folder)
    assert (manifest.model, manifest.version) == ("large", None)
    assert [(s.name, s.datatype, s.shape) for s in manifest.inputs] == [("x", "FP32", (-1, 512))]
    assert [(s.name, s.datatype, s.shape) for s in manifest.outputs] == [("y", "FP32", (-1, 10))]
    assert manifest.variants[0].name == large.report.chosen
    assert manifest.variants[-1].name == "fp32"
    assert {cpu: (c.variant, c.basis == "measured") for cpu, c in manifest.chosen.items()} == {
        cpu: (large.report.chosen, cpu == cpu_kind()) for cpu in ("x86_64-vnni", "x86_64", "arm64")
    }
    for variant in manifest.variants:
        assert variant.gate == trials(large.report)[variant.name].gate
        assert variant.peak_memory_bytes >= manifest.files[variant.file].size
        assert variant.latency_ms > 0
    assert manifest.provenance.tools["torch"] == torch.__version__


def test_every_variant_answers_its_goldens(large: Built) -> None:
    manifest = read_manifest(large.folder)
    goldens = read_goldens(large.folder / manifest.goldens.file, manifest)
    assert len(goldens) == manifest.goldens.count == 4
    for variant in manifest.variants:
        session = Session(large.folder / variant.file, threads=1)
        session.check_signature(manifest.inputs, manifest.outputs)
        check_goldens(session, goldens, manifest.goldens, variant)


def test_report_in_the_artifact_is_the_one_returned(large: Built, small: Built) -> None:
    for artifact in (large, small):
        data = (artifact.folder / "report.json").read_bytes()
        assert msgspec.json.decode(data, type=Report) == artifact.report


def test_hash_of_the_weights_changes_with_one_of_them(small: Built) -> None:
    found = read_manifest(small.folder).provenance.weights_sha256
    assert Reference(source_of(mlp(4, 16, 3))).weights_sha256() == found
    other = mlp(4, 16, 3)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    assert Reference(source_of(other)).weights_sha256() != found


class Outliers(nn.Module):
    """One huge weight in every channel, for an input that is always zero, swallows the scale of all others."""

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(0.01 * normal(64, 64)))
            self.linear.weight[:, 0] = largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x)
        return result


def built_of_outliers(largest: float, folder: Path) -> Built:
    data = [{"x": normal(8, 64, seed=i)} for i in range(4)]
    for batch in data:
        batch["x"][:, 0] = 0
    return built(source_of(Outliers(largest), torch.zeros(1, 64), calibration=data), folder)


def test_fp32_is_chosen_where_nothing_smaller_can_hold_the_weights_and_the_report_says_why(tmp_path: Path) -> None:
    artifact = built_of_outliers(1e6, tmp_path / "artifact")
    written = msgspec.json.decode((artifact.folder / "report.json").read_bytes())
    assert written["chosen"] == "fp32"
    found = {trial["name"]: (trial["verdict"], trial["why"]) for trial in written["trials"]}
    assert found["fp32"] == ("chosen", "nothing else passes")
    for name in ("int8-weights", "int8-dynamic", "int8-static"):
        verdict, why = found[name]
        assert verdict == "rejected"
        assert why.startswith("loses ")
        assert why.endswith("% of agreement, allowed 1.00%")
    assert found["mixed-weights"] == ("rejected", "is no smaller than fp32")
    assert {path.name for path in artifact.folder.iterdir()} == {"fp32.onnx"} | OTHER_FILES


def test_weights_that_only_fp16_can_hold_are_kept_in_it(tmp_path: Path) -> None:
    by_name = trials(built_of_outliers(1e4, tmp_path / "artifact").report)
    assert by_name["int8-weights"].verdict == "rejected"
    mixed = by_name["mixed-weights"]
    assert mixed.gate is not None
    assert mixed.gate.passed
    assert [node.stored for node in mixed.float_nodes] == ["fp16"]


def test_without_data_the_proof_says_what_it_lacks(tmp_path: Path) -> None:
    artifact = built(source_of(mlp(4, 3)), tmp_path / "artifact")
    manifest = read_manifest(artifact.folder)
    assert not artifact.report.held_out
    assert not manifest.variants[-1].gate.held_out
    assert manifest.provenance.calibration == artifact.report.calibration
    assert (artifact.report.calibration.source, artifact.report.calibration.samples) == ("example", 1)
    assert manifest.warnings == tuple(artifact.report.warnings)
    assert [warning.partition(":")[0] for warning in manifest.warnings] == ["evaluation", "calibration"]
    assert manifest.warnings[0] in (artifact.folder / "report.html").read_text(encoding="utf-8")


def test_proof_on_few_samples_and_weights_that_are_not_fp32_are_warned_of(tmp_path: Path) -> None:
    evaluation = Evaluation([({"x": normal(8, 4).astype(np.float16)}, None)])
    source = source_of(mlp(4, 3).half(), torch.zeros(1, 4, dtype=torch.float16), evaluation=evaluation)
    warnings = built(source, tmp_path / "artifact").report.warnings
    assert "weights: torch.float16; only fp32 weights are quantised: build from module.float()" in warnings
    assert "evaluation: one of 6 answers is more than the loss that is allowed; give more samples" in warnings


def test_targets_that_pytorch_never_meets_are_warned_of(tmp_path: Path) -> None:
    data = normal(200, 4)
    with torch.inference_mode():
        wrong = (mlp(4, 3)(torch.from_numpy(data)).argmax(1).numpy() + 1) % 3
    source = source_of(
        mlp(4, 3), calibration=[{"x": normal(8, 4, seed=1)}], evaluation=Evaluation([({"x": data}, wrong)])
    )
    [warning] = built(source, tmp_path / "artifact").report.warnings
    assert warning == "evaluation: PyTorch's own accuracy is 0, so nothing can be lost; are the targets right?"


def test_int8_that_needs_calibration_is_not_tried_where_only_what_judges_could_calibrate(tmp_path: Path) -> None:
    source = source_of(nn.Sequential(nn.Embedding(9, 8), nn.Linear(8, 3)), torch.zeros(1, 4, dtype=torch.int64))
    static = trials(built(source, tmp_path / "artifact").report)["int8-static"]
    assert (static.verdict, static.why, static.gate) == ("rejected", "no calibration data that does not judge", None)


def test_model_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConversionError):
        build(source_of(mlp(4, 3), outputs=["y", "z"]), tmp_path / "artifact", OPTIONS, silent())
    assert list(tmp_path.iterdir()) == []
