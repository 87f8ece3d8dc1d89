"""Ranges of activations for static int8, from calibration data: min-max, percentile, entropy."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    CalibrationMethod,
    TensorsData,
    create_calibrator,
)

from export.quantize.graph import STATIC_OPERATORS
from handlers.tasks.arrays import Arrays

__all__ = ["METHODS", "find_ranges"]

METHODS = {
    "min-max": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"percentile": 99.99}),
    "entropy": (CalibrationMethod.Entropy, {}),
}
"""What onnxruntime offers, in the order of what they cost: all values; all but 0.01 % at either end; the range that
changes the distribution least (S. Migacz, "8-bit inference with TensorRT", GTC 2017)."""


def find_ranges(model: ModelProto, method: str, batches: Sequence[Arrays], folder: Path) -> TensorsData:
    """Return the range of every activation of `model` over `batches`. Files for a while go to `folder`.

    Raises:
        Exception: Whatever onnxruntime raises where it cannot calibrate.
    """
    kind, options = METHODS[method]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        path = Path(work) / "model.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            list(STATIC_OPERATORS),
            augmented_model_path=str(Path(work) / "augmented.onnx"),
            calibrate_method=kind,
            extra_options=options,
        )
        # it prints what it does, and numpy warns of what it does with values that are as good as infinite
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            for batch in batches:  # one by one: each call keeps all activations of its batches in memory
                calibrator.collect_data(_Reader(batch))
            ranges: TensorsData = calibrator.compute_data()
        return ranges


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Hands over one batch, once."""

    def __init__(self, batch: Arrays) -> None:
        self._batch: Arrays | None = batch

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch, self._batch = self._batch, None
        return batch
