"""The last step of a build: what is packaged, described by a manifest."""

import platform
import shutil
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import get_args

import msgspec

from export.batching import find_batching
from export.candidates import FP32, Candidate
from export.judge import Judge
from export.measure import memory_use
from export.package import write_held_out
from export.progress import Progress
from export.reference import Reference, to_arrays
from export.report import REPORT_FILE, Report
from export.report_page import REPORT_PAGE, to_html
from export.reporting import Measured
from export.source import ModelSource
from export.sources.tokenizer import TOKENIZER_FILE
from export.weights_file import weights_path
from handlers import __version__
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Batching,
    Choice,
    CpuKind,
    Goldens,
    Manifest,
    Provenance,
    Variant,
    encode_manifest,
)
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import TensorTask

__all__ = ["write_artifact"]

_TOOLS = ("torch", "onnx", "onnxruntime", "numpy")


def write_artifact(  # noqa: PLR0913, PLR0917 - all that a build has made
    folder: Path,
    source: ModelSource,
    reference: Reference,
    session: Session,
    goldens: Goldens,
    judge: Judge,
    measured: Measured,
    report: Report,
    progress: Progress,
) -> None:
    """Complete the artifact in `folder`: reports, tokenizer, manifest, held-out inputs; remove what is not packaged."""
    example = to_arrays(source)
    batching = find_batching(source, reference, example, session.inputs)
    with progress.step("Measuring memory", len(measured.packaged)) as advance:
        variants = []
        for candidate in measured.packaged:
            variants.append(_variant(candidate, measured, example, batching, report.threads))
            advance(1)
    packaged = [file for variant in variants for file in variant.files]
    for path in folder.glob("*.onnx*"):
        if path.name not in packaged:
            path.unlink()
    (folder / REPORT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (folder / REPORT_PAGE).write_text(to_html(report), encoding="utf-8")
    tokenizer = [TOKENIZER_FILE] if source.tokenizer else []
    if source.tokenizer:
        shutil.copyfile(source.tokenizer, folder / TOKENIZER_FILE)
    files = [*packaged, goldens.file, *tokenizer, REPORT_FILE, REPORT_PAGE]
    here = cpu_kind()
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        model=source.name,
        version=None,
        task=source.task or TensorTask(),
        inputs=session.inputs,
        outputs=session.outputs,
        variants=tuple(variants),
        chosen={
            kind: Choice(variant=variants[0].name, basis="measured" if kind == here else "inferred")
            for kind in get_args(CpuKind)
        },
        goldens=goldens,
        tokenizer=TOKENIZER_FILE if tokenizer else None,
        batching=batching,
        example_shapes={spec.name: example[spec.name].shape for spec in session.inputs},
        files={name: describe_file(folder / name) for name in files},
        provenance=Provenance(
            weights_sha256=reference.weights_sha256(),
            tools={"lambdaserve": __version__, "python": platform.python_version()}
            | {name: metadata.version(name) for name in _TOOLS},
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            cpu=here,
            threads=report.threads,
            pytorch_latency_ms=report.pytorch_latency_ms,
            calibration=report.calibration,
        ),
        warnings=tuple(report.warnings),
    )
    (folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    write_held_out(folder, judge.data, [*source.inputs], source.outputs)


def _variant(
    candidate: Candidate, measured: Measured, example: Arrays, batching: Batching | None, threads: int
) -> Variant:
    data = weights_path(candidate.path)
    memory = memory_use(candidate.path, example, threads, batching)
    return Variant(
        name=candidate.name,
        file=candidate.path.name,
        data=data.name if data.exists() else None,
        gate=candidate.gate,
        latency_ms=measured.latencies_ms[candidate.name],
        latency_fp32_ms=measured.latencies_ms[FP32],
        peak_memory_bytes=memory.peak_bytes,
        sample_memory_bytes=memory.sample_bytes,
        golden_tolerance=candidate.golden_tolerance,
    )
