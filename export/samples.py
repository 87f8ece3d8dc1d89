"""The data of a source, sorted: what calibrates, and what judges. Nothing does both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from export.batches import read_calibration, read_evaluation
from export.errors import DataError
from export.instances import open_source_task
from export.judge import HeldOut
from export.metrics import AGREEMENT, COSINE, METRICS, Metric, first_output
from export.reference import Reference, to_arrays
from export.source import Evaluation, ModelSource
from export.splits import cut, in_halves, length_of, take_some, without
from export.variations import noisy
from handlers.tasks.arrays import Arrays

__all__ = ["Samples", "sort_samples"]

CalibrationSource = Literal["calibration", "evaluation", "example"]

_EVALUATION_CALIBRATES = (
    "calibration: no data that does not judge; every fourth sample of the evaluation calibrates, and does not judge: "
    "give `calibration` data to let all of it judge"
)


@dataclass(frozen=True)
class Samples:
    """What the export step feeds to the model.

    Attributes:
        calibration: Batches that set the ranges of quantised activations; empty where they would judge too.
        calibration_source: Where they come from.
        steering: What steers the search: the same, or the example's values in another order; empty where there is none
            that does not judge.
        divisible: Whether axis 0 counts samples, which do not know of each other, so that batches can be cut.
        held_out: Batches that judge, with PyTorch's answers.
        metric: How they judge; None: by agreement with PyTorch.
        declared: What a source without targets said of how its outputs are compared: "agreement" or "cosine"; None:
            nothing.
        singles: A few inputs of one sample each, from what judges.
        warnings: What a user should know of the data.
    """

    calibration: list[Arrays]
    calibration_source: CalibrationSource
    steering: list[Arrays]
    divisible: bool
    held_out: HeldOut
    metric: Metric | None
    declared: str | None
    singles: list[Arrays]
    warnings: list[str]

    @property
    def calibrating(self) -> int:
        """How many samples calibrate, counted along axis 0 of the first input."""
        return sum(length_of(batch) for batch in self.calibration)


def sort_samples(source: ModelSource, reference: Reference) -> Samples:
    """Read the data of a source once, and let PyTorch answer what judges.

    No sample both calibrates and judges. Without an evaluation the second half of the calibration data judges; without
    calibration data a quarter of the evaluation calibrates; without either, the example inputs calibrate, and the same
    with noise judge.

    Raises:
        DataError: The data is empty, or its names, datatypes or shapes are not the model's.
        SourceError: The task does not fit the model.
    """
    example = to_arrays(source)
    divisible = _is_divisible(example, source, reference)
    warnings: list[str] = []
    task = open_source_task(source, example, reference)
    calibration = read_calibration(source, example, task)
    origin: CalibrationSource = "calibration"
    targets: list[np.ndarray] | None = None
    metric: Metric | None = None
    judging: list[Arrays] = []
    if source.evaluation is not None:
        judging, targets = read_evaluation(source, example, task)
        metric = _metric(source.evaluation, targets=targets is not None)
        calibration = _distinct(calibration, judging, warnings, divisible=divisible)
        if not calibration:
            origin = "evaluation"
            taken, judging, targets = take_some(judging, targets, divisible=divisible)
            calibration = _distinct(taken, judging, warnings, divisible=divisible)
            if calibration:
                warnings.append(_EVALUATION_CALIBRATES)
    elif calibration:
        calibration, judging = in_halves(calibration, divisible=divisible)
        calibration = _distinct(calibration, judging, warnings, divisible=divisible)
    held_out = bool(judging)
    if not judging:
        judging = _made_up(example)
    steering = calibration
    if not calibration:
        origin = "example"
        calibration, _ = without([example], judging, divisible=divisible)
        steering, _ = without(calibration or [_shuffled(example)], judging, divisible=divisible)
    warnings += _cautions(origin, held_out=held_out, calibrates=bool(calibration))
    return Samples(
        calibration=calibration,
        calibration_source=origin,
        steering=steering,
        divisible=divisible,
        held_out=HeldOut(judging, [reference.run(inputs) for inputs in judging], targets, held_out),
        metric=metric,
        declared=_declared(source),
        singles=_singles(judging, divisible=divisible),
        warnings=warnings,
    )


def _is_divisible(example: Arrays, source: ModelSource, reference: Reference) -> bool:
    """Tell whether axis 0 of all inputs counts samples: two of them answer together as each does alone.

    Its name tells nothing: it may be that of a sequence, whose parts know of each other.
    """
    words = {source.dynamic_axes[name].get(0) for name in example}
    if len(words) != 1 or None in words:
        return False
    random = np.random.default_rng(0)
    alone = [{name: noisy(value[:1], random) for name, value in example.items()} for _ in range(2)]
    together = {name: np.concatenate([one[name] for one in alone]) for name in example}
    try:
        found = first_output(reference.run(together))
        right = [first_output(reference.run(one)) for one in alone]
    except DataError:  # a module that takes no two samples at once
        return False
    return found.ndim > 0 and all(
        found[i : i + 1].shape == one.shape and np.allclose(found[i : i + 1], one, 1e-3, 1e-4, equal_nan=True)
        for i, one in enumerate(right)
    )


def _distinct(
    calibration: list[Arrays], judging: list[Arrays], warnings: list[str], *, divisible: bool
) -> list[Arrays]:
    kept, dropped = without(calibration, judging, divisible=divisible)
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


def _shuffled(example: Arrays) -> Arrays:
    """Return the example with its values in another order, the same in all inputs of a shape: each of them is legal."""
    return {
        name: np.random.default_rng(0).permutation(value.ravel()).reshape(value.shape)
        for name, value in example.items()
    }


def _singles(batches: Sequence[Arrays], *, divisible: bool, count: int = 4) -> list[Arrays]:
    """Return up to `count` inputs of one sample each; whole batches where they cannot be cut."""
    if not divisible:
        return list(batches[:count])
    return [cut(batches[0], slice(i, i + 1)) for i in range(min(count, length_of(batches[0])))]
