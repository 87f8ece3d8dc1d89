"""PyTorch -> fp32 ONNX, with the proof that both answer alike."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from export.errors import ConversionError, DataError
from export.exporters import SINGLE_FILE_BYTES, is_script, write_by_script, write_by_tracing
from export.reference import Reference, to_arrays
from export.source import ModelSource
from export.variations import vary
from handlers.errors import LambdaserveError
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["convert"]

PARITY_TOLERANCE = 1e-4  # absolute and relative: fp32 kernels sum in different orders
_HALF_TOLERANCE = 1e-2  # where the module computes with 16 bits: ten of them, or seven, are digits

Writer = Callable[[ModelSource, Path, int], None]


def convert(  # noqa: PLR0913 - the last by name only
    source: ModelSource,
    reference: Reference,
    path: Path,
    samples: Sequence[Arrays],
    threads: int,
    *,
    single_file_bytes: int = SINGLE_FILE_BYTES,
) -> Session:
    """Write the source's module to `path` as fp32 ONNX and return it, open.

    The module is traced by `torch.export` (the dynamo exporter); where that cannot trace it or fixes an axis that is
    to vary, by TorchScript. The file's answers are compared with PyTorch's on `samples` and on the example inputs with
    noise, for several lengths of every dynamic axis. Weights of more than `single_file_bytes` go to `{path}.data`.

    Raises:
        ConversionError: It cannot be exported or opened, or it answers differently.
        DataError: The module refuses its own example.
        OSError: `path` cannot be written.
    """
    example = to_arrays(source)
    reference.run(example)
    compared = [*_answered(source, reference, example), *((inputs, reference.run(inputs)) for inputs in samples)]
    ways: list[Writer] = [write_by_script] if is_script(source) else [write_by_tracing, write_by_script]
    first: ConversionError | None = None
    for write in ways:
        try:
            return _converted(write, source, path, compared, threads, single_file_bytes)
        except ConversionError as error:
            first = first or error
            if not _may_fare_better(error):
                break
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()
    assert first is not None  # noqa: S101 - every way has failed
    raise first


def _converted(  # noqa: PLR0913, PLR0917 - private, one call site
    write: Writer,
    source: ModelSource,
    path: Path,
    compared: Sequence[tuple[Arrays, Arrays]],
    threads: int,
    single_file_bytes: int,
) -> Session:
    write(source, path, single_file_bytes)
    try:
        session = Session(path, threads=threads)
    except LambdaserveError as error:
        msg = f"model {source.name}: exported, and {error}"
        raise _Retry(msg) from error
    _check_signature(source, session)
    for inputs, expected in compared:
        _check_parity(session, inputs, expected, _tolerance(source))
    return session


class _Retry(ConversionError):
    """The other exporter may fare better: what went wrong is the exporter's, not the answers'."""


def _may_fare_better(error: ConversionError) -> bool:
    """Whether TorchScript may be tried. Not where forward() branches on values: a trace would keep one branch."""
    exported = error.__cause__ is None or isinstance(error.__cause__, LambdaserveError)
    return isinstance(error, _Retry) or (not exported and "branches on the values" not in str(error))


def _answered(source: ModelSource, reference: Reference, example: Arrays) -> list[tuple[Arrays, Arrays]]:
    """Return variations of the example with PyTorch's answers; lengths that PyTorch itself refuses prove nothing."""
    answered = []
    refusal: DataError | None = None
    for inputs in vary(example, source.dynamic_axes):
        try:
            answered.append((inputs, reference.run(inputs)))
        except DataError as error:
            refusal = error
    if not answered and refusal is not None:
        msg = f"model {source.name}: no other lengths of its variable axes are taken: {refusal}"
        raise ConversionError(msg) from refusal
    return answered


def _check_signature(source: ModelSource, session: Session) -> None:
    for found, expected, what in (
        ([spec.name for spec in session.inputs], list(source.inputs), "inputs"),
        ([spec.name for spec in session.outputs], list(source.outputs), "outputs"),
    ):
        if found != expected:
            msg = (
                f"model {source.name}: exported with {what} {found}, expected {expected}; does forward() use them all?"
            )
            raise _Retry(msg)
    for spec in session.inputs:
        fixed = [axis for axis in source.dynamic_axes[spec.name] if spec.shape[axis] != -1]
        if fixed:
            msg = (
                f"model {source.name}: exported with input {spec.name!r} of shape {list(spec.shape)}, expected axes "
                f"{fixed} to vary; check ModelSource.dynamic: an axis named there may be fixed by the module's code"
            )
            raise _Retry(msg)


def _tolerance(source: ModelSource) -> float:
    values = [*source.inputs.values(), *source.module.parameters(), *source.module.buffers()]
    halves = any(value.dtype in {torch.float16, torch.bfloat16} for value in values)
    return _HALF_TOLERANCE if halves else PARITY_TOLERANCE


def _check_parity(session: Session, inputs: Arrays, expected: Arrays, tolerance: float) -> None:
    shapes = {name: list(value.shape) for name, value in inputs.items()}
    try:
        found = session.run(inputs)
    except LambdaserveError as error:
        msg = f"ONNX: {error} (shapes {shapes}), expected an answer as from PyTorch; check ModelSource.dynamic"
        raise _Retry(msg) from error
    for name, right in expected.items():
        if found[name].shape != right.shape:
            msg = f"output {name!r}: shape {list(found[name].shape)}, expected {list(right.shape)} as from PyTorch"
            msg += f" (inputs of shapes {shapes})"
            raise _Retry(msg)
        if not np.allclose(found[name], right, tolerance, tolerance, equal_nan=True):
            worst = np.nanmax(np.abs(found[name].astype(np.float64) - right.astype(np.float64)))
            msg = f"output {name!r}: differs from PyTorch by {worst:.3g}, expected at most {tolerance}; "
            msg += "what forward() returns must depend on nothing but its inputs and its weights"
            raise ConversionError(msg)
