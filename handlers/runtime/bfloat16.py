"""Runs of models with BF16 tensors, for which onnxruntime's `run` has no place: numpy has no such type."""

import ctypes
from collections.abc import Collection, Sequence

import numpy as np
import onnxruntime

from handlers.tasks.arrays import Arrays
from handlers.tasks.bfloat16 import narrow, widen

__all__ = ["run_with_bfloat16"]

_ONNX_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


def run_with_bfloat16(
    session: onnxruntime.InferenceSession,
    outputs: Sequence[str],
    inputs: Arrays,
    bfloat16_inputs: Collection[str],
    options: "onnxruntime.RunOptions | None" = None,
) -> list[np.ndarray]:
    """Return what `session.run` would, with float32 for BF16.

    Args:
        session: Of a model that takes no text: onnxruntime makes no `OrtValue` of that.
        outputs: Which to compute.
        inputs: All of the model's.
        bfloat16_inputs: Which of them the model takes as BF16; those are float32 here.
        options: Of the run, as `session.run` takes them.
    """
    values = {name: _to_value(array, as_bfloat16=name in bfloat16_inputs) for name, array in inputs.items()}
    return [_to_array(value) for value in session.run_with_ort_values(outputs, values, options)]


def _to_value(array: np.ndarray, *, as_bfloat16: bool) -> onnxruntime.OrtValue:
    """Return a value that lies in the memory of an array, and keeps that."""
    if as_bfloat16:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(narrow(array), _ONNX_BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.require(array, requirements="C"))


def _to_array(value: onnxruntime.OrtValue) -> np.ndarray:
    if value.data_type() != "tensor(bfloat16)":
        array: np.ndarray = value.numpy()
        return array
    shape = value.shape()
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return np.empty(shape, np.float32)  # there may be no memory to look at
    bits = np.ctypeslib.as_array(ctypes.cast(value.data_ptr(), ctypes.POINTER(ctypes.c_uint16)), (count,))
    return widen(bits).reshape(shape)
