"""The model behind every server but ours: an ONNX file, opened as ours is, asked in tensors of the OIP.

Runs in the environments of the servers, so it imports nothing but numpy and onnxruntime.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

__all__ = ["OnnxModel"]

_TYPES = {"FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "UINT8": np.uint8}


class OnnxModel:
    """The file that `MODEL_FILE` names, with as many threads as `THREADS` says."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()  # those of handlers/runtime/session.py, so that only the servers differ
        options.intra_op_num_threads = int(os.environ["THREADS"])
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.environ["MODEL_FILE"],
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],
        )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))

    def answer(self, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the answer to the `inputs` of a request, both as they are in JSON. Validates nothing."""
        arrays = {
            tensor["name"]: np.array(tensor["data"], _TYPES[tensor["datatype"]]).reshape(tensor["shape"])
            for tensor in inputs
        }
        outputs = [
            {"name": name, "datatype": "FP32", "shape": array.shape, "data": array.ravel().tolist()}
            for name, array in self.run(arrays).items()
        ]
        return {"model_name": "model", "model_version": "1", "outputs": outputs}
