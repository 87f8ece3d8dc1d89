"""The two ways that torch has of writing ONNX, and when which is taken."""

import contextlib
import inspect
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch

from export.errors import ConversionError, in_one_line, users_line
from export.source import ModelSource
from export.sources.program import ProgramModule

__all__ = ["SINGLE_FILE_BYTES", "is_script", "write_by_script", "write_by_tracing"]

SINGLE_FILE_BYTES = 2**31 - 2**20
"""Weights beyond this go into a file of their own: protobuf holds 2 GB, and the graph needs some of it."""


def is_script(source: ModelSource) -> bool:
    """Whether the module is TorchScript, which `torch.export` does not take."""
    return isinstance(source.module, torch.jit.ScriptModule)


def write_by_tracing(source: ModelSource, path: Path, single_file_bytes: int = SINGLE_FILE_BYTES) -> None:
    """Write the module to `path` as `torch.export` (the dynamo exporter) sees it.

    Raises:
        ConversionError: It cannot be exported. `retry` of the error says whether TorchScript may fare better.
        OSError: `path` cannot be written.
    """
    examples = tuple(_at_least_two(value, source.dynamic_axes[name]) for name, value in source.inputs.items())
    names: dict[str, Any] = {"input_names": list(source.inputs), "output_names": list(source.outputs)}
    module = source.module.eval()
    try:
        with _quiet(), torch.inference_mode():
            if isinstance(module, ProgramModule):
                program = torch.onnx.export(module.program, (), dynamo=True, verbose=False, **names)
            else:
                program = torch.onnx.export(
                    module, examples, dynamic_shapes=_shapes(source), dynamo=True, verbose=False, **names
                )
            assert program is not None  # noqa: S101 - with dynamo=True and no file named, it is returned
            _forget_places(program.model)
            _rename_namesakes(program.model)
            initializers: Any = program.model.graph.initializers
            size = sum(value.const_value.nbytes for value in initializers.values())
    except Exception as error:  # torch.export raises whatever the traced code raises
        msg = f"model {source.name}: cannot be exported: {_reason(error)}; {_next_step(error)}"
        raise ConversionError(msg) from error
    program.save(path, external_data=size > single_file_bytes)


def _forget_places(model: Any) -> None:  # noqa: ANN401 - a type of onnxscript's own dependency
    """Drop what the exporter notes of each node: stack traces, with the paths of this machine, in every artifact."""
    for part in (model.graph, *model.functions.values()):
        part.metadata_props.clear()
        for node in part.all_nodes():
            node.metadata_props.clear()


def _rename_namesakes(model: Any) -> None:  # noqa: ANN401 - as above
    """Give other names to inner values that have an output's: torch names values after what makes them."""
    outputs = {id(value): value.name for value in model.graph.outputs}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if id(value) not in outputs and value.name in outputs.values():
                value.name = f"{value.name}_inner"


def write_by_script(source: ModelSource, path: Path, single_file_bytes: int = SINGLE_FILE_BYTES) -> None:
    """Write the module to `path` as TorchScript sees it: traced with the example inputs, unless it is a script.

    A trace holds what the examples made the code do, branches included: compare its answers for other inputs.

    Raises:
        ConversionError: It cannot be exported.
        OSError: `path` cannot be written.
    """
    axes = source.dynamic_axes
    examples = tuple(_at_least_two(value, axes[name]) for name, value in source.inputs.items())
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder) / path.name  # with weights beyond 2 GB it is many files
        try:
            with _quiet(), torch.no_grad():  # not inference_mode(): scripts refuse to be inlined in it
                torch.onnx.export(
                    source.module.eval(),
                    examples,
                    whole,
                    input_names=list(source.inputs),
                    output_names=list(source.outputs),
                    dynamic_axes=axes,
                    opset_version=18,
                    dynamo=False,
                )
        except OSError:
            raise
        except Exception as error:  # as above
            msg = f"model {source.name}: cannot be exported: {_reason(error)}; {_next_step(error)}"
            raise ConversionError(msg) from error
        model = onnx.load(whole)
        large = sum(len(tensor.raw_data) for tensor in model.graph.initializer) > single_file_bytes
        onnx.save(model, path, save_as_external_data=large, location=f"{path.name}.data", size_threshold=1024)


def _shapes(source: ModelSource) -> tuple[object, ...]:
    """Return the variable axes of each input, in the structure of what forward() takes."""
    axes = source.dynamic_axes
    dims = {name: torch.export.Dim(name) for name in sorted({n for by_axis in axes.values() for n in by_axis.values()})}
    shapes = tuple({axis: dims[name] for axis, name in axes[tensor].items()} for tensor in source.inputs)
    try:
        parameters = list(inspect.signature(source.module.forward).parameters.values())
    except (TypeError, ValueError):
        return shapes
    for i, parameter in enumerate(parameters[: len(shapes)]):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:  # forward(*tensors)
            return (*shapes[:i], shapes[i:])
    return shapes


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
    return f"{type(cause).__name__}: {said or in_one_line(cause) or repr(cause)}{users_line(cause)}"


def _next_step(error: Exception) -> str:
    text = str(error)
    # this first: torch's advice on it speaks of dynamic shapes too
    if "data-dependent" in text or "GuardOnDataDependent" in text:
        return "forward() branches on the values of a tensor: replace the branch by torch.where or torch.cond"
    if "No ONNX function found" in text:
        return "torch has no ONNX for this operator: replace it in forward(), or leave it out"
    if any(sign in text.lower() for sign in ("dynamic", "constraint", "specializ", "is inconsistent")):
        return "check ModelSource.dynamic: an axis named there may be fixed by the module's code"
    return "make the line that it names traceable by torch.export, or leave it out of forward()"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings, graphs and stack traces off the terminal: they speak of their own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # torch gives each of its many loggers a level and a handler of its own
    try:
        # they print the graph of a model that they refuse, some of it past Python
        with (
            warnings.catch_warnings(),
            _no_output(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """Throw away what this process, native code included, writes to its standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
