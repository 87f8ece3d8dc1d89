"""PyTorch -> fp32 ONNX, with the proof that both answer alike."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from export.errors import ConversionError, users_line
from export.reference import Reference, to_arrays
from export.source import ModelSource
from handlers.errors import LambdaserveError
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["convert"]

PARITY_TOLERANCE = 1e-4  # absolute and relative: fp32 kernels sum in different orders
_BATCHES = (1, 2, 5)


def convert(source: ModelSource, reference: Reference, path: Path, samples: Sequence[Arrays], threads: int) -> Session:
    """Write the source's module to `path` as fp32 ONNX and return it, open.

    The module is traced by `torch.export` (the dynamo exporter). Its answers are compared with PyTorch's on `samples`
    and on the example inputs with noise, for several lengths of every dynamic axis.

    Raises:
        ConversionError: It cannot be exported or opened, or it answers differently.
    """
    example = to_arrays(source)
    reference.run(example)
    _export(source, path)
    try:
        session = Session(path, threads=threads)
    except LambdaserveError as error:
        msg = f"model {source.name}: exported, and {error}"
        raise ConversionError(msg) from error
    _check_names(source, session)
    for inputs in [*_varied(example, source.dynamic_axes), *samples]:
        _check_parity(reference, session, inputs)
    return session


def _export(source: ModelSource, path: Path) -> None:
    axes = source.dynamic_axes
    dims = {name: torch.export.Dim(name) for name in sorted({n for by_axis in axes.values() for n in by_axis.values()})}
    shapes = tuple({axis: dims[name] for axis, name in axes[tensor].items()} for tensor in source.inputs)
    examples = tuple(_at_least_two(value, axes[name]) for name, value in source.inputs.items())
    try:
        with _quiet(), torch.inference_mode():
            program = torch.onnx.export(
                source.module.eval(),
                examples,
                input_names=list(source.inputs),
                output_names=list(source.outputs),
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
            assert program is not None  # noqa: S101 - with dynamo=True and no file named, it is returned
            program.save(path)
    except Exception as error:  # torch.export raises whatever the traced code raises
        msg = f"model {source.name}: cannot be exported: {_reason(error)}; {_next_step(error)}"
        raise ConversionError(msg) from error


def _at_least_two(value: torch.Tensor, axes: dict[int, str]) -> torch.Tensor:
    """Repeat an example along dynamic axes of length 1: the tracer takes a 1 for a constant."""
    repeats = [2 if axis in axes and length == 1 else 1 for axis, length in enumerate(value.shape)]
    return value.repeat(repeats) if repeats else value


def _reason(error: Exception) -> str:
    """Return the innermost cause in one line; the exporter wraps it in pages of advice."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    # a first line that ends in a colon says nothing without the second
    said = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    return f"{type(cause).__name__}: {said or repr(cause)}{users_line(cause)}"


def _next_step(error: Exception) -> str:
    text = str(error)
    # this first: torch's advice on it speaks of dynamic shapes too
    if "data-dependent" in text or "GuardOnDataDependent" in text:
        return "forward() branches on the values of a tensor: replace the branch by torch.where or torch.cond"
    if any(sign in text.lower() for sign in ("dynamic", "constraint", "specializ", "is inconsistent")):
        return "check ModelSource.dynamic: an axis named there may be fixed by the module's code"
    return "make the line that it names traceable by torch.export, or leave it out of forward()"


def _check_names(source: ModelSource, session: Session) -> None:
    for found, expected, what in (
        ([spec.name for spec in session.inputs], list(source.inputs), "inputs"),
        ([spec.name for spec in session.outputs], list(source.outputs), "outputs"),
    ):
        if found != expected:
            msg = (
                f"model {source.name}: exported with {what} {found}, expected {expected}; does forward() use them all?"
            )
            raise ConversionError(msg)


def _varied(example: Arrays, axes: dict[str, dict[int, str]]) -> Iterator[Arrays]:
    """Yield the example with noise, for several lengths of the dynamic axes: 1, 2, 5 of the first, more of the rest."""
    random = np.random.default_rng(0)
    for batch in _BATCHES:
        yield {name: _noisy(_resized(value, axes[name], batch), random) for name, value in example.items()}


def _resized(value: np.ndarray, axes: dict[int, str], batch: int) -> np.ndarray:
    for axis in axes:
        length = batch if axis == 0 else value.shape[axis] + batch - 1
        value = np.take(value, np.arange(length) % value.shape[axis], axis=axis)
    return value


def _noisy(value: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add noise to numbers; what counts or indexes is left alone, since no other value need be legal."""
    if value.dtype.kind != "f":
        return value
    noise: np.ndarray = random.standard_normal(value.size).astype(value.dtype).reshape(value.shape)
    return np.asarray(value + noise)  # numpy adds arrays without axes to something that is no array


def _check_parity(reference: Reference, session: Session, inputs: Arrays) -> None:
    expected = reference.run(inputs)
    try:
        found = session.run(inputs)
    except LambdaserveError as error:
        shapes = {name: list(value.shape) for name, value in inputs.items()}
        msg = f"ONNX: {error} (shapes {shapes}), expected an answer as from PyTorch; check ModelSource.dynamic"
        raise ConversionError(msg) from error
    for name, right in expected.items():
        if found[name].shape != right.shape:
            msg = f"output {name!r}: shape {list(found[name].shape)}, expected {list(right.shape)} as from PyTorch"
            raise ConversionError(msg)
        if not np.allclose(found[name], right, PARITY_TOLERANCE, PARITY_TOLERANCE, equal_nan=True):
            worst = np.nanmax(np.abs(found[name].astype(np.float64) - right.astype(np.float64)))
            msg = f"output {name!r}: differs from PyTorch by {worst:.3g}, expected at most {PARITY_TOLERANCE}; "
            msg += "what forward() returns must depend on nothing but its inputs and its weights"
            raise ConversionError(msg)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings, graphs and stack traces off the terminal: they speak of its own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch gives each of its many loggers a level and a handler of its own
    try:
        # it prints the graph of a model that it refuses
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
