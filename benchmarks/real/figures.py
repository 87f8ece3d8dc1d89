"""What is measured of one artifact beside its PyTorch module, from its files: nothing is taken from its report."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.candidates import FP32
from export.measure import interleaved_medians_ms
from export.reference import Reference, to_arrays
from export.source import ModelSource
from handlers.registry.manifest import MANIFEST_FILE, Manifest, Variant, decode_manifest
from handlers.runtime.cpu import cpu_kind
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["Figures", "accuracy", "agreement", "mean_cosine", "measure"]

_PYTORCH, _CHOSEN = "pytorch", "chosen"


@dataclass(frozen=True)
class Figures:
    """How good, how large and how fast the chosen variant is.

    Attributes:
        chosen: Name of the variant.
        cosine: Mean cosine of its answers with PyTorch's.
        top_1: Share of judging samples that it puts into the class that PyTorch does; None: answers are no classes.
        score: Its accuracy; None: there are no labels.
        pytorch_score: PyTorch's.
        size_ratio: Its size beside that of the fp32 file.
        chosen_ms: Median time of a run on the example input.
        fp32_ms: That of the fp32 file.
        pytorch_ms: That of PyTorch.
    """

    chosen: str
    cosine: float
    top_1: float | None
    score: float | None
    pytorch_score: float | None
    size_ratio: float
    chosen_ms: float
    fp32_ms: float
    pytorch_ms: float

    @property
    def points_lost(self) -> float | None:
        """How many of 100 samples are right in PyTorch and no longer, less those that now are and were not."""
        if self.score is None or self.pytorch_score is None:
            return None
        return round(100 * (self.pytorch_score - self.score), 9)  # so that 99.43 less 99.23 is 0.2 and not a bit more

    @property
    def times_pytorch(self) -> float:
        """How many times as fast as PyTorch it is."""
        return self.pytorch_ms / self.chosen_ms

    @property
    def times_fp32(self) -> float:
        """How many times as fast as the fp32 file it is."""
        return self.fp32_ms / self.chosen_ms


def measure(source: ModelSource, artifact: Path, threads: int, *, classifies: bool, timing_s: float = 4.0) -> Figures:
    """Open the variant that an artifact serves on this machine, and measure it on the inputs that judge.

    Args:
        source: What the artifact was built from, with an evaluation.
        artifact: Its folder.
        threads: Of each session, and of PyTorch.
        classifies: Whether the first output holds a score for each class, or the probability of one.
        timing_s: How long the runs take turns, nine turns at the least.
    """
    assert source.evaluation is not None  # noqa: S101 - all of these sources have one
    batches = list(source.evaluation.batches)
    manifest = decode_manifest((artifact / MANIFEST_FILE).read_bytes(), MANIFEST_FILE)
    chosen, fp32 = _variants(manifest)
    sessions = {
        name: Session(artifact / file.file, threads=threads) for name, file in ((_CHOSEN, chosen), (FP32, fp32))
    }
    reference = Reference(source)
    found = _answers([sessions[_CHOSEN].run(inputs) for inputs, _ in batches])
    with reference.threads(threads):
        expected = _answers([reference.run(inputs) for inputs, _ in batches])
        example = to_arrays(source)
        runs = {name: partial(session.run, example) for name, session in sessions.items()}
        times_ms = interleaved_medians_ms(runs | {_PYTORCH: partial(reference.run, example)}, budget_s=timing_s)
    targets = [target for _, target in batches if target is not None]
    labels = np.concatenate(targets) if targets else None
    return Figures(
        chosen=chosen.name,
        cosine=mean_cosine(found, expected),
        top_1=agreement(found, expected) if classifies else None,
        score=accuracy(found, labels) if labels is not None else None,
        pytorch_score=accuracy(expected, labels) if labels is not None else None,
        size_ratio=_size_bytes(artifact, chosen) / _size_bytes(artifact, fp32),
        chosen_ms=times_ms[_CHOSEN],
        fp32_ms=times_ms[FP32],
        pytorch_ms=times_ms[_PYTORCH],
    )


def mean_cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean cosine of answers float [samples, ...]; of all of them at once where each is one number."""
    rows = len(expected) if expected[0].size > 1 else 1
    left, right = (values.astype(np.float64).reshape(rows, -1) for values in (found, expected))
    return float(np.mean((left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))))


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the share of samples that both answers, float [samples, classes], put into the same class."""
    return float(np.mean(_classes(found) == _classes(expected)))


def accuracy(found: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples whose class, by answers float [samples, classes], is that of labels int [samples]."""
    return float(np.mean(_classes(found) == labels))


def _classes(answers: np.ndarray) -> npt.NDArray[np.int64]:
    """Return the class of each answer: the one with the highest score, or whether the one probability is over 0.5."""
    one = answers.shape[-1] == 1
    classes: npt.NDArray[np.int64] = (answers[:, 0] > 0.5).astype(np.int64) if one else answers.argmax(-1)  # noqa: PLR2004
    return classes


def _variants(manifest: Manifest) -> tuple[Variant, Variant]:
    """Return what is served on this machine, and fp32."""
    variants = manifest.variants_for(cpu_kind())
    return variants[0], next(variant for variant in variants if variant.name == FP32)


def _answers(batches: list[Arrays]) -> np.ndarray:
    """Return the first output of all batches, joined."""
    return np.concatenate([next(iter(outputs.values())) for outputs in batches])


def _size_bytes(artifact: Path, variant: Variant) -> int:
    return sum((artifact / name).stat().st_size for name in variant.files)
