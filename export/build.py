"""`lambdaserve build`: a source becomes an artifact whose variants are proven."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from export.candidates import FP32, Bench, Candidate, choose
from export.classes import class_outputs
from export.convert import convert
from export.exporters import SINGLE_FILE_BYTES
from export.finish import write_artifact
from export.goldens import make_goldens
from export.judge import Judge
from export.measure import interleaved_medians_ms
from export.metrics import AGREEMENT, COSINE
from export.package import new_artifact
from export.progress import Progress
from export.reference import Reference, to_arrays
from export.report import Preference, Report, Search
from export.reporting import Measured, make_report
from export.samples import Samples, sort_samples
from export.search import Budget, ErrorMeter
from export.source import ModelSource
from export.splits import cut, length_of
from export.variants import VARIANTS, Variants, try_variants
from export.weights_file import split_weights
from handlers.registry.manifest import Calibration
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["VARIANTS", "BuildOptions", "build"]

_PYTORCH = "pytorch"
_GOLDENS_FILE = "goldens.npz"
_CHECKED_BATCHES = 2  # of the source's data, for parity; the gate sees all of it
_STEERING_BATCH = 16  # samples at once, while the search measures
_STEERING_BYTES = 256 * 1024 * 1024  # of PyTorch's answers that are kept for the search
_STEERING_SHARE = 1 / 60  # of the search's time that PyTorch may take for all that steers: then so may each measurement


@dataclass(frozen=True)
class BuildOptions:
    """What the user decides.

    Attributes:
        variants: Which to try beside fp32.
        max_loss: The largest loss that passes the gate, relative to PyTorch's score.
        threads: Of each session, and of PyTorch while it is timed.
        prefer: What makes one variant that passes better than another.
        search_s: How long may be searched for what must stay in float.
        single_file_bytes: Weights beyond this go into a file of their own.
    """

    variants: Sequence[str]
    max_loss: float
    threads: int
    prefer: Preference = "balanced"
    search_s: float = 120.0
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
        self._budget = Budget(options.search_s)

    def run(self) -> Report:
        options = self._options
        with self._progress.step("Asking PyTorch"):
            self._reference.check_weights()
            samples = sort_samples(self._source, self._reference)
            # before anything that takes long: labels that are no classes are found here
            judge = Judge(samples.held_out, samples.metric, options.max_loss)
        with self._progress.step("Converting to ONNX"):
            session = self._convert(samples)
            judge = judge.with_classes(self._classes(samples))
            goldens, replayed = make_goldens(
                self._folder / _GOLDENS_FILE, samples.singles, self._reference.run, session.inputs, session.outputs
            )
        bench = Bench(judge, replayed, goldens.output_stride, self._example, options.threads)
        fp32 = bench.measured(FP32, self._folder / f"{FP32}.onnx", "as exported from PyTorch")
        steering = self._steering(samples)
        # what only compares an operator with its parts, and decides on nothing, may look at the example
        seen = steering or [(self._example, self._reference.run(self._example))]
        meter = ErrorMeter(seen, self._folder, options.threads, self._budget)
        calibration = samples.calibration
        tried = try_variants(options.variants, fp32, calibration, bench, meter, self._progress, steered=bool(steering))
        for candidate in (fp32, *tried.candidates):
            split_weights(candidate.path)  # not before: quantisers and optimisers make one file of one file
        with self._progress.step("Timing"):
            measured = self._timed(fp32, tried)
        report = make_report(
            self._source.name,
            measured,
            judge,
            prefer=options.prefer,
            max_loss=options.max_loss,
            threads=options.threads,
            calibration=Calibration(samples.calibrating, samples.calibration_source),
            search=Search(
                options.search_s, round(self._budget.taken_s, 1), self._budget.measurements, bench.judgements
            ),
            warnings=[*samples.warnings, *self._cautions(judge)],
        )
        write_artifact(
            self._folder, self._source, self._reference, session, goldens, judge, measured, report, self._progress
        )
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

    def _classes(self, samples: Samples) -> frozenset[str]:
        """Return the outputs of which the largest element is an answer: as the source says, or as the graph shows."""
        told = {AGREEMENT: frozenset(self._source.outputs), COSINE: frozenset[str]()}
        if samples.declared is not None:
            return told[samples.declared]
        return class_outputs(self._folder / f"{FP32}.onnx")

    def _cautions(self, judge: Judge) -> Iterator[str]:
        """Yield what makes the proof weaker than it looks, or int8 impossible."""
        types = sorted(
            {str(v.dtype) for v in self._source.module.parameters() if v.is_floating_point()} - {"torch.float32"}
        )
        if types:
            yield f"weights: {', '.join(types)}; only fp32 weights are quantised: build from module.float()"
        answers = judge.class_answers
        if judge.data.held_out and answers and answers * self._options.max_loss < 1:
            yield f"evaluation: one of {answers} answers is more than the loss that is allowed; give more samples"
        if judge.reference_score == 0 and judge.metric_name != "mse":
            yield f"evaluation: PyTorch's own {judge.metric_name} is 0, so nothing can be lost; are the targets right?"

    def _steering(self, samples: Samples) -> list[tuple[Arrays, Arrays]]:
        """Return what steers the search, with PyTorch's answers: calibration data, as much as there is time for."""
        pieces = []
        for batch in samples.steering:
            starts = range(0, length_of(batch), _STEERING_BATCH) if samples.divisible else ()
            pieces += [cut(batch, slice(start, start + _STEERING_BATCH)) for start in starts] or [batch]
        answered = []
        size_bytes = 0
        end = time.perf_counter() + self._options.search_s * _STEERING_SHARE
        with self._reference.threads(self._options.threads):
            for piece in pieces:
                answers = self._reference.run(piece)
                answered.append((piece, answers))
                size_bytes += sum(value.nbytes for value in answers.values())
                if time.perf_counter() > end or size_bytes > _STEERING_BYTES:
                    break
        return answered

    def _timed(self, fp32: Candidate, tried: Variants) -> Measured:
        candidates = (fp32, *tried.candidates)
        runs = {c.name: partial(c.session.run, self._example) for c in candidates}
        with self._reference.threads(self._options.threads):
            times_ms = interleaved_medians_ms(runs | {_PYTORCH: partial(self._reference.run, self._example)})
        opening = {c.name: partial(Session, c.path, threads=self._options.threads) for c in candidates}
        opening_ms = interleaved_medians_ms(opening, budget_s=1.0, at_least=3)
        return Measured(
            others=tried.candidates,
            fp32=fp32,
            packaged=choose(fp32, tried.candidates, times_ms, self._options.prefer),
            problems=tried.problems,
            skipped=tried.skipped,
            latencies_ms=times_ms,
            opening_ms=opening_ms,
            pytorch_latency_ms=times_ms[_PYTORCH],
            pytorch_size_bytes=self._reference.size_bytes(),
        )
