"""int8 by onnxruntime's quantiser: weights with 7 bits, so that no CPU saturates.

Without VNNI, x86 kernels multiply u8 by s8 and add pairs of products in 16 bits, where 2 * 255 * 127 does not fit; with
`reduce_range` weights stay within +-64 and it does (onnxruntime documentation, "Quantize ONNX models", "When and why do
I need to try reduce_range"). One file is then right on every kind of CPU.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from handlers.tasks.arrays import Arrays

__all__ = ["quantize_dynamically", "quantize_statically"]


def quantize_dynamically(fp32: Path, target: Path) -> None:
    """Write int8 weights per channel; activations are quantised while the model runs."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        quantize_dynamic(_pre_processed(fp32, Path(folder)), target, per_channel=True, reduce_range=True)


def quantize_statically(fp32: Path, target: Path, calibration: Sequence[Arrays]) -> None:
    """Write int8 weights per channel and uint8 activations in QDQ form, their ranges (min-max) from `calibration`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        quantize_static(
            _pre_processed(fp32, Path(folder)),
            target,
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def _pre_processed(fp32: Path, folder: Path) -> Path:
    """Fold constants and infer shapes first, as the quantiser's documentation asks."""
    prepared = folder / "prepared.onnx"
    # symbolic inference gives up on transformers, and then litters the working directory; the exporter has written the
    # shapes of most values, and the quantiser needs no others
    quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
    return prepared


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    def __init__(self, batches: Sequence[Arrays]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)
