"""The data of a source, sorted: what calibrates, and what judges. Nothing does both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from export.batches import read_calibration, read_evaluation
from export.errors import DataError
from export.judge import HeldOut
from export.metrics import AGREEMENT, COSINE, METRICS, Metric
from export.reference import Reference, to_arrays
from export.source import Evaluation, ModelSource
from export.splits import in_halves, take_some, without
from export.variations import noisy
from handlers.tasks.arrays import Arrays

__all__ = ["Samples", "sort_samples"]

CalibrationSource = Literal["calibration", "evaluation", "example"]

_EVALUATION_CALIBRATES = (
    "calibration: no data; a quarter of the evaluation calibrates, and does not judge: give `calibration` data to let "
    "all of it judge"
)


@dataclass(frozen=True)
class Samples:
    """What the export step feeds to the model.

    Attributes:
        calibration: Batches that set the ranges of quantised activations; empty where they would judge too.
        calibration_source: Where they come from.
        held_out: Batches that judge, with PyTorch's answers.
        metric: How they judge; None: by agreement with PyTorch.
        declared: What a source without targets said of how its outputs are compared: "agreement" or "cosine"; None:
            nothing.
        singles: A few inputs of one sample each, from what judges.
        warnings: What a user should know of the data.
    """

    calibration: list[Arrays]
    calibration_source: CalibrationSource
    held_out: HeldOut
    metric: Metric | None
    declared: str | None
    singles: list[Arrays]
    warnings: list[str]

    @property
    def calibrating(self) -> int:
        """How many samples calibrate, counted along axis 0 of the first input."""
        return sum(
            len(next(iter(batch.values()))) if next(iter(batch.values())).ndim else 1 for batch in self.calibration
        )


def sort_samples(source: ModelSource, reference: Reference) -> Samples:
    """Read the data of a source once, and let PyTorch answer what judges.

    No sample both calibrates and judges. Without an evaluation the second half of the calibration data judges; without
    calibration data a quarter of the evaluation calibrates; without either, the example inputs calibrate, and the same
    with noise judge.

    Raises:
        DataError: The data is empty, or its names, datatypes or shapes are not the model's.
    """
    example = to_arrays(source)
    axes = source.dynamic_axes
    warnings: list[str] = []
    calibration = read_calibration(source, example)
    origin: CalibrationSource = "calibration"
    targets: list[np.ndarray] | None = None
    metric: Metric | None = None
    judging: list[Arrays] = []
    if source.evaluation is not None:
        judging, targets = read_evaluation(source, example)
        metric = _metric(source.evaluation, targets=targets is not None)
        calibration = _distinct(calibration, judging, axes, warnings)
        if not calibration:
            origin = "evaluation"
            calibration, judging, targets = take_some(judging, targets, axes)
            if calibration:
                warnings.append(_EVALUATION_CALIBRATES)
    elif calibration:
        calibration, judging = in_halves(calibration, axes)
        calibration = _distinct(calibration, judging, axes, warnings)
    held_out = bool(judging)
    if not judging:
        judging = _made_up(example)
    if not calibration:
        origin = "example"
        calibration = [] if judging[0] is example else [example]
    warnings += _cautions(origin, held_out=held_out, calibrates=bool(calibration))
    return Samples(
        calibration,
        origin,
        HeldOut(judging, [reference.run(inputs) for inputs in judging], targets, held_out),
        metric,
        _declared(source),
        _singles(judging, source),
        warnings,
    )


def _distinct(
    calibration: list[Arrays], judging: list[Arrays], axes: Mapping[str, Mapping[int, str]], warnings: list[str]
) -> list[Arrays]:
    kept, dropped = without(calibration, judging, axes)
    if dropped:
        warnings.append(f"calibration: {dropped} samples also judge; they do not calibrate")
    return kept


def _made_up(example: Arrays, count: int = 8) -> list[Arrays]:
    """Return the example with noise; as it is where nothing in it can be varied."""
    if not any(value.dtype.kind == "f" for value in example.values()):
        return [example]
    random = np.random.default_rng(0)
    return [{name: noisy(value, random) for name, value in example.items()} for _ in range(count)]


def _cautions(origin: CalibrationSource, *, held_out: bool, calibrates: bool) -> Iterator[str]:
    """Yield what must be said where the example inputs stand in for data."""
    if not held_out:
        noise = " with noise" if calibrates else ""
        yield (
            f"evaluation: no held-out data; the example inputs{noise} judge, and real ones may fare otherwise: give "
            "`evaluation` data"
        )
    if origin == "example":
        what = "the example inputs calibrate" if calibrates else "nothing calibrates: the example inputs judge"
        yield f"calibration: no data; {what}: give `calibration` data"


def _declared(source: ModelSource) -> str | None:
    metric = source.evaluation.metric if source.evaluation is not None else None
    return metric if metric in {AGREEMENT, COSINE} else None


def _metric(evaluation: Evaluation, *, targets: bool) -> Metric | None:
    metric = evaluation.metric
    if callable(metric):
        name = getattr(metric, "__name__", "custom")
        # `verify` knows ours by name: a function of the user's must not be taken for one of them
        return Metric(f"custom {name}" if name in {*METRICS, AGREEMENT, COSINE} else name, metric)
    if metric in {AGREEMENT, COSINE} and not targets:
        return None
    if metric not in METRICS:
        known = ", ".join(METRICS) if targets else ", ".join([*METRICS, AGREEMENT, COSINE])
        msg = f"evaluation: metric {metric!r}, expected one of {known}, or a function of (outputs, target)"
        raise DataError(msg)
    return METRICS[metric]


def _singles(batches: Sequence[Arrays], source: ModelSource, count: int = 4) -> list[Arrays]:
    """Return up to `count` inputs of one sample each; whole batches where axis 0 is not that of the samples."""
    if not all(0 in axes for axes in source.dynamic_axes.values()):
        return list(batches[:count])
    first = batches[0]
    length = min(len(value) for value in first.values())
    return [{name: value[i : i + 1] for name, value in first.items()} for i in range(min(count, length))]
