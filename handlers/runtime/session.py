"""The one place that opens and runs onnxruntime sessions, for serving and for the gate alike."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from handlers.errors import DeadlineExceeded, InvalidInput, RuntimeFailure
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.tasks.arrays import Arrays

__all__ = ["DISABLED_OPTIMIZERS", "Session"]

_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
# onnxruntime's severity "fatal": what it says on stderr is not structured, and its errors quote the inputs. They are
# raised as well.
_QUIET = 4
DISABLED_OPTIMIZERS = ["SkipLayerNormFusion"]
"""A sum and a layer norm fused into one take three times as long as the two by themselves (onnxruntime 1.32, AVX-512):
a tenth of the time of MiniLM in int8."""

_TERMINATED = "terminate flag"
_LONGEST_TIMER_S = 1e6  # a timer of more may overflow what the system takes
_OUT_OF_MEMORY = ("Failed to allocate", "bad_alloc", "Out of memory")

_DATATYPES: dict[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class Session:
    """An ONNX model, open and ready to run. Safe to run from several threads at once.

    Attributes:
        inputs: What the file takes, in its order.
        outputs: What the file returns, in its order.
        packed: Whether weights are laid out for the kernels.
    """

    def __init__(self, path: Path, *, threads: int, packed: bool = True) -> None:
        """Open the model in `path`; no name of it is needed afterwards, but what is mapped keeps its room on the disk.

        Args:
            path: An ONNX file.
            threads: How many threads one run uses. Never left to onnxruntime: its default sets thread affinities,
                which fails on Lambda.
            packed: Whether weights are laid out anew for the kernels. Without, it opens in a fraction of the time, and
                each run takes up to a third longer.

        Raises:
            RuntimeFailure: onnxruntime cannot open it, or it has a type that the Open Inference Protocol lacks.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        # a thread that spins while it waits burns CPU time that Lambda bills and takes from the next request
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not packed:
            options.add_session_config_entry("session.disable_prepacking", "1")
        self.packed = packed
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"], disabled_optimizers=DISABLED_OPTIMIZERS
            )
        except _ORT_ERRORS as error:
            msg = f"{path.name}: onnxruntime {onnxruntime.__version__} cannot open it: {_first_line(error)}"
            raise RuntimeFailure(msg) from error
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())
        self._bfloat16_inputs = {spec.name for spec in self.inputs if spec.datatype == "BF16"}
        datatypes = {spec.datatype for spec in (*self.inputs, *self.outputs)}
        self._has_bfloat16 = "BF16" in datatypes
        if self._has_bfloat16 and any(spec.datatype == "BYTES" for spec in self.inputs):
            msg = (
                f"{path.name}: BF16 tensors and an input of text, expected one or the other: onnxruntime runs not both"
            )
            raise RuntimeFailure(msg)

    def replace(self, other: "Session") -> None:
        """Run the session of `other`, of the same file, from the next run on."""
        self._session, self.packed = other._session, other.packed  # noqa: SLF001 - of its own kind

    def check_signature(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
        """Check that the file takes and returns what a manifest says, in the manifest's order.

        Raises:
            RuntimeFailure: It does not.
        """
        for found, expected in ((self.inputs, tuple(inputs)), (self.outputs, tuple(outputs))):
            if found != expected:
                msg = f"signature: {found}, expected {expected}"
                raise RuntimeFailure(msg)

    def run(
        self,
        inputs: Arrays,
        outputs: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
        shrink: bool = False,
    ) -> Arrays:
        """Run the model once.

        Args:
            inputs: All inputs by name, with the datatypes of `self.inputs`; BF16 is float32, as in
                `handlers.tasks.bfloat16`.
            outputs: Which outputs to compute; None: all.
            timeout_s: When to stop, after the operator that is running then; None: never. Costs a thread: 65 us.
            shrink: Give the memory back that the run took; else the session keeps it for the next one.

        Returns:
            The outputs by name, in the order asked for.

        Raises:
            InvalidInput: The model refuses these inputs. A model that has answered its goldens fails only on what it
                is given: axes that do not fit each other, an index outside a table.
            RuntimeFailure: There was not enough memory.
            DeadlineExceeded: It was not done after `timeout_s`.
        """
        names = list(outputs) if outputs is not None else [spec.name for spec in self.outputs]
        options = None
        if timeout_s is not None or shrink:
            options = onnxruntime.RunOptions()
            options.log_severity_level = _QUIET
        if options is not None and shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        timer = (
            None
            if timeout_s is None
            else threading.Timer(min(timeout_s, _LONGEST_TIMER_S), setattr, (options, "terminate", True))
        )
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            return dict(zip(names, self._run(names, inputs, options), strict=True))
        except _ORT_ERRORS as error:
            message = _first_line(error)
            if _TERMINATED in message:
                msg = f"run: not done after {timeout_s:.1f} s, expected it to be"
                raise DeadlineExceeded(msg) from error
            if any(sign in message for sign in _OUT_OF_MEMORY):
                msg = f"model: not enough memory for this input: {message}"
                raise RuntimeFailure(msg) from error
            msg = f"inputs: the model cannot be run on them: {message}"
            raise InvalidInput(msg) from error
        finally:
            if timer is not None:
                timer.cancel()

    def _run(
        self, names: Sequence[str], inputs: Arrays, options: "onnxruntime.RunOptions | None"
    ) -> Sequence[np.ndarray]:
        if self._has_bfloat16:
            from handlers.runtime.bfloat16 import run_with_bfloat16  # few models need it

            return run_with_bfloat16(self._session, names, inputs, self._bfloat16_inputs, options)
        results: Sequence[np.ndarray] = self._session.run(names, inputs, options)
        return results


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    if node.type not in _DATATYPES:
        msg = f"tensor {node.name!r}: {node.type}, expected one of {', '.join(_DATATYPES)}"
        raise RuntimeFailure(msg)
    shape = tuple(axis if isinstance(axis, int) else -1 for axis in node.shape)
    return TensorSpec(name=node.name, datatype=_DATATYPES[node.type], shape=shape)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
