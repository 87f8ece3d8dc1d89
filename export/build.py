"""`lambdaserve build`: a source becomes an artifact whose variants are proven."""

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import get_args

import msgspec

from export.candidates import FP32, Candidate, choose, make_candidate, why_not
from export.convert import convert
from export.errors import GateError
from export.exporters import SINGLE_FILE_BYTES
from export.goldens import make_goldens
from export.judge import Judge
from export.measure import interleaved_medians_ms, peak_memory_bytes
from export.package import new_artifact, write_held_out
from export.progress import Advance, Progress
from export.reference import Reference, to_arrays
from export.report import REPORT_FILE, Report, Trial, Verdict
from export.samples import Samples, sort_samples
from export.source import ModelSource
from export.sources.tokenizer import TOKENIZER_FILE
from handlers import __version__
from handlers.registry.fetch import describe_file
from handlers.registry.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Choice,
    CpuKind,
    Goldens,
    Manifest,
    Provenance,
    TensorTask,
    Variant,
    encode_manifest,
)
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.session import Session

__all__ = ["BuildOptions", "build"]

_PYTORCH = "pytorch"
_GOLDENS_FILE = "goldens.npz"
_TOOLS = ("torch", "onnx", "onnxruntime", "numpy")
_CHECKED_BATCHES = 2  # of the source's data, for parity; the gate sees all of it


@dataclass(frozen=True)
class BuildOptions:
    """What the user decides.

    Attributes:
        variants: Which to try beside fp32.
        max_loss: The largest loss that passes the gate, relative to PyTorch's score.
        threads: Of each session, and of PyTorch while it is timed.
        single_file_bytes: Weights beyond this go into a file of their own.
    """

    variants: Sequence[str]
    max_loss: float
    threads: int
    single_file_bytes: int = SINGLE_FILE_BYTES


def build(source: ModelSource, out: Path, options: BuildOptions, progress: Progress) -> Report:
    """Convert, quantise, measure and choose, and write the artifact to the folder `out`, whole or not at all.

    Raises:
        DataError: The source's data does not fit its model.
        ConversionError: The model cannot be exported, or ONNX answers otherwise than PyTorch.
        OutputError: `out` cannot be written.
    """
    with new_artifact(out) as folder:
        return _Build(source, folder, options, progress).run()


class _Build:
    """One build: what its steps share."""

    def __init__(self, source: ModelSource, folder: Path, options: BuildOptions, progress: Progress) -> None:
        self._source = source
        self._folder = folder
        self._options = options
        self._progress = progress
        self._reference = Reference(source)
        self._example = to_arrays(source)
        self._problems: dict[str, str] = {}

    def run(self) -> Report:
        with self._progress.step("Asking PyTorch"):
            self._reference.check_weights()
            samples = sort_samples(self._source, self._reference)
            judge = Judge(samples.held_out, samples.metric, self._options.max_loss)
        with self._progress.step("Converting to ONNX"):
            session = self._convert(samples)
            goldens, replayed = make_goldens(
                self._folder / _GOLDENS_FILE, samples.singles, self._reference.run, session.inputs, session.outputs
            )
        make = partial(
            make_candidate,
            fp32=self._folder / f"{FP32}.onnx",
            calibration=samples.calibration,
            judge=judge,
            goldens=(replayed, goldens.output_stride),
            threads=self._options.threads,
        )
        fp32 = make(FP32)
        others = []
        with self._progress.step("Quantising", len(self._options.variants)) as advance:
            for name in self._options.variants:
                try:
                    others.append(make(name))
                except GateError as error:
                    self._problems[name] = str(error)
                advance(1)
        with self._progress.step("Timing"):
            latencies_ms = self._latencies(fp32, others)
        packaged = choose(fp32, others, latencies_ms)
        report = self._report(judge, fp32, others, packaged[0], latencies_ms)
        with self._progress.step("Measuring memory", len(packaged)) as advance:
            variants = [self._variant(candidate, latencies_ms, advance) for candidate in packaged]
        self._write(judge, session, goldens, variants, report)
        return report

    def _convert(self, samples: Samples) -> Session:
        checked = samples.held_out.inputs[:_CHECKED_BATCHES]
        path = self._folder / f"{FP32}.onnx"
        return convert(
            self._source,
            self._reference,
            path,
            checked,
            self._options.threads,
            single_file_bytes=self._options.single_file_bytes,
        )

    def _latencies(self, fp32: Candidate, others: Sequence[Candidate]) -> dict[str, float]:
        """Time the variants among themselves, then PyTorch beside fp32: it would push their data out of the caches."""
        runs = {c.name: partial(c.session.run, self._example) for c in (fp32, *others)}
        latencies_ms = interleaved_medians_ms(runs)
        with self._reference.threads(self._options.threads):
            beside = {_PYTORCH: partial(self._reference.run, self._example), FP32: runs[FP32]}
            return latencies_ms | {_PYTORCH: interleaved_medians_ms(beside)[_PYTORCH]}

    def _report(
        self,
        judge: Judge,
        fp32: Candidate,
        others: Sequence[Candidate],
        chosen: Candidate,
        latencies_ms: dict[str, float],
    ) -> Report:
        trials = [_trial(c, fp32, chosen, latencies_ms) for c in (*others, fp32)]
        trials += [Trial(name, "rejected", why) for name, why in self._problems.items()]
        return Report(
            model=self._source.name,
            chosen=chosen.name,
            cpu=cpu_kind(),
            threads=self._options.threads,
            metric=judge.metric_name,
            pytorch_score=judge.reference_score,
            pytorch_latency_ms=latencies_ms[_PYTORCH],
            samples=judge.data.samples,
            held_out=judge.data.held_out,
            trials=trials,
        )

    def _variant(self, candidate: Candidate, latencies_ms: dict[str, float], advance: Advance) -> Variant:
        peak = peak_memory_bytes(candidate.path, self._example, self._options.threads)
        advance(1)
        return Variant(
            name=candidate.name,
            file=candidate.path.name,
            data=candidate.data_path.name if candidate.data_path.exists() else None,
            gate=candidate.gate,
            latency_ms=latencies_ms[candidate.name],
            latency_fp32_ms=latencies_ms[FP32],
            peak_memory_bytes=peak,
            golden_tolerance=candidate.golden_tolerance,
        )

    def _write(
        self, judge: Judge, session: Session, goldens: Goldens, variants: Sequence[Variant], report: Report
    ) -> None:
        packaged = [file for variant in variants for file in variant.files]
        rejected = {path.name for path in self._folder.glob("*.onnx*")} - set(packaged)
        for name in rejected:
            (self._folder / name).unlink()
        (self._folder / REPORT_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        tokenizer = [TOKENIZER_FILE] if self._source.tokenizer else []
        if self._source.tokenizer:
            shutil.copyfile(self._source.tokenizer, self._folder / TOKENIZER_FILE)
        files = [*packaged, goldens.file, *tokenizer, REPORT_FILE]
        here = cpu_kind()
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            model=self._source.name,
            version=None,
            task=TensorTask(),
            inputs=session.inputs,
            outputs=session.outputs,
            variants=tuple(variants),
            chosen={
                kind: Choice(variant=variants[0].name, basis="measured" if kind == here else "inferred")
                for kind in get_args(CpuKind)
            },
            goldens=goldens,
            tokenizer=TOKENIZER_FILE if tokenizer else None,
            files={name: describe_file(self._folder / name) for name in files},
            provenance=Provenance(
                weights_sha256=self._reference.weights_sha256(),
                tools={"lambdaserve": __version__, "python": platform.python_version()}
                | {name: metadata.version(name) for name in _TOOLS},
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                cpu=here,
                threads=self._options.threads,
                pytorch_latency_ms=report.pytorch_latency_ms,
            ),
        )
        (self._folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
        write_held_out(self._folder, judge.data, [*self._source.inputs], self._source.outputs)


def _trial(candidate: Candidate, fp32: Candidate, chosen: Candidate, latencies_ms: dict[str, float]) -> Trial:
    verdict, why = _verdict(candidate, fp32, chosen, latencies_ms)
    return Trial(
        name=candidate.name,
        verdict=verdict,
        why=why,
        size_bytes=candidate.size_bytes,
        gate=candidate.gate,
        latency_ms=latencies_ms[candidate.name],
    )


def _verdict(
    candidate: Candidate, fp32: Candidate, chosen: Candidate, latencies_ms: dict[str, float]
) -> tuple[Verdict, str]:
    if candidate is fp32:
        return ("chosen", "nothing else passes") if candidate is chosen else ("packaged", "the last resort")
    if candidate is chosen:
        return "chosen", "the smallest that passes"
    why = why_not(candidate, fp32, latencies_ms)
    return ("rejected", why) if why else ("packaged", "passes, and is larger")
