"""Sources that are exported programs: `.pt2` files of `torch.export.save`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree

from export.errors import SourceError, in_one_line
from export.source import ModelSource
from export.sources.naming import model_name, output_names
from export.sources.options import SourceOptions

__all__ = ["ProgramModule", "load_program"]


class ProgramModule(torch.nn.Module):
    """An exported program as a module of flat positional inputs; it is in eval mode, if it was when it was exported.

    Attributes:
        program: What is converted: tracing it again would lose the ranges of its axes.
    """

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        self.program = program
        self._run = program.module()

    def train(self, mode: bool = True) -> "ProgramModule":  # noqa: FBT001, FBT002 - torch's signature
        """Leave the mode as it was exported: it cannot be changed any more."""
        del mode
        return self

    def forward(self, *tensors: torch.Tensor) -> Any:  # noqa: ANN401 - whatever the program returns
        """Return what the program answers; `tensors` in the order of its inputs."""
        arguments, keywords = _pytree.tree_unflatten(list(tensors), self.program.call_spec.in_spec)
        return self._run(*arguments, **keywords)


def load_program(path: Path, options: SourceOptions) -> ModelSource:
    """Return the source that a `.pt2` file is: its inputs, their axes and its example inputs are in it.

    Raises:
        SourceError: It cannot be read, or it holds no example inputs of tensors.
    """
    options.check(f"the exported program {path.name}", ("--name", "--output", "--allow-pickle"))
    try:
        with _weights_only(not options.allow_pickle):
            program = torch.export.load(path)
    except Exception as error:  # as broken files go
        msg = (
            f"source {path}: {type(error).__name__}: {in_one_line(error)[:500]}, expected a program that torch "
            f"{torch.__version__} can load; save it again with torch.export.save of this version"
        )
        raise SourceError(msg) from error
    names = list(program.graph_signature.user_inputs)
    values = _pytree.tree_leaves(program.example_inputs) if program.example_inputs else []
    if len(values) != len(names) or not all(isinstance(value, torch.Tensor) for value in values):
        kinds = [type(value).__name__ for value in values]
        msg = f"source {path}: example inputs {kinds} for {names}, expected a tensor for each; export it with tensors"
        raise SourceError(msg)
    inputs = {str(name): value.detach().clone() for name, value in zip(names, values, strict=True)}
    module = ProgramModule(program)
    return ModelSource(
        name=model_name(path, options.name),
        module=module,
        inputs=inputs,
        outputs=output_names(module, list(inputs.values()), options.outputs, f"source {path}"),
        dynamic=_dynamic(program),
    )


def _dynamic(program: torch.export.ExportedProgram) -> dict[str, dict[int, str]]:
    """Return the program's symbolic axes; the file keeps symbols and not the names that they had."""
    words: dict[str, str] = {}
    dynamic: dict[str, dict[int, str]] = {}
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    for name in program.graph_signature.user_inputs:
        for axis, length in enumerate(shapes[str(name)]):
            if isinstance(length, int):
                continue
            first = "batch" if axis == 0 and "batch" not in words.values() else f"{name}_{axis}"
            dynamic.setdefault(str(name), {})[axis] = words.setdefault(str(length), first)
    return dynamic


@contextmanager
def _weights_only(wanted: bool) -> Iterator[None]:  # noqa: FBT001 - private, one call site
    """Let torch.load unpickle nothing but weights; `torch.export.load` itself has no such argument."""
    switch = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    if wanted:
        os.environ[switch] = "1"
    try:
        yield
    finally:
        if wanted:
            os.environ.pop(switch)
            if before is not None:
                os.environ[switch] = before
