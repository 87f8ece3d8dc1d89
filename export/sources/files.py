"""Sources that are one file: what kind it is stands in the file, not in its suffix."""

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

from export.errors import SourceError, in_one_line
from export.source import ModelSource
from export.sources.example_inputs import parse_inputs
from export.sources.naming import model_name, output_names
from export.sources.options import SourceOptions
from export.sources.program import load_program

__all__ = ["load_file"]

_FUNCTION = "write a file.py:function that builds the module and loads them with torch.load(..., weights_only=True)"


def load_file(path: Path, options: SourceOptions) -> ModelSource:
    """Return the source that a file is: an exported program, TorchScript, or, if allowed, a pickled module.

    Raises:
        SourceError: It is none of these, it is broken, or its example inputs are not given or do not fit.
    """
    if not path.is_file():
        msg = f"source: no file {path}, expected a .pt2, .pt or .ts file"
        raise SourceError(msg)
    members = _members(path)
    if any(member.rpartition("/")[2] in {"archive_format", "serialized_exported_program.json"} for member in members):
        return load_program(path, options)
    if any(member.endswith("/constants.pkl") for member in members):
        return _with_inputs(path, _load_script(path), options, ("--name", "--input", "--output"))
    if path.suffix == ".safetensors":
        msg = f"source {path}: holds weights alone, expected a module; {_FUNCTION}"
        raise SourceError(msg)
    module = _load_pickled(path, allowed=options.allow_pickle)
    return _with_inputs(path, module, options, ("--name", "--input", "--output", "--allow-pickle"))


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except zipfile.BadZipFile:
        return []  # torch.save wrote no zip files before 1.6


def _load_script(path: Path) -> torch.nn.Module:
    try:
        script: torch.nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch says RuntimeError and more, as the file is broken
        msg = f"source {path}: {type(error).__name__}: {in_one_line(error)}, expected a file of torch.jit.save"
        raise SourceError(msg) from error
    return script


def _load_pickled(path: Path, *, allowed: bool) -> torch.nn.Module:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not allowed:
            msg = (
                f"source {path}: pickled Python objects, expected TorchScript or a .pt2 program; opening it runs "
                "whatever code is in it: give --allow-pickle if you trust who made it"
            )
            raise SourceError(msg) from error
        found = _unpickle(path)
    except Exception as error:  # as broken files go
        msg = f"source {path}: {type(error).__name__}: {in_one_line(error)}, expected a file of torch.save"
        raise SourceError(msg) from error
    if isinstance(found, torch.nn.Module):
        return found
    if isinstance(found, dict):
        msg = f"source {path}: holds weights alone ({_some(found)}), expected a module; {_FUNCTION}"
        raise SourceError(msg)
    msg = f"source {path}: holds {type(found).__name__}, expected a torch.nn.Module"
    raise SourceError(msg)


def _unpickle(path: Path) -> object:
    warning = f"warning: {path} is unpickled, which runs whatever code is in it"
    sys.stderr.write(f"lambdaserve: {warning}\n")
    sys.path.insert(0, str(path.parent.resolve()))  # a pickle names classes; they may lie beside it
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # a pickle may raise anything
        msg = (
            f"source {path}: {type(error).__name__}: {in_one_line(error)}, expected a file of torch.save(module); the "
            "classes in it must be importable: put their files beside it or install them"
        )
        raise SourceError(msg) from error


def _with_inputs(path: Path, module: torch.nn.Module, options: SourceOptions, taken: tuple[str, ...]) -> ModelSource:
    options.check(f"the file {path.name}", taken)
    if not options.inputs:
        msg = (
            f"source {path}: says nothing of its inputs, expected --input for each{_takes(module)}, such as "
            "--input image=FP32[batch,3,224,224]"
        )
        raise SourceError(msg)
    example = parse_inputs(options.inputs)
    module = module.eval()
    names = output_names(module, list(example.tensors.values()), options.outputs, f"source {path}")
    return ModelSource(
        name=model_name(path, options.name),
        module=module,
        inputs=example.tensors,
        outputs=names,
        dynamic=example.dynamic,
    )


def _takes(module: torch.nn.Module) -> str:
    if not isinstance(module, torch.jit.ScriptModule):
        return ""
    forward: Any = module.forward
    arguments = forward.schema.arguments[1:]  # the first is self
    return f" of {', '.join(argument.name for argument in arguments)}"


def _some(weights: dict[object, object], count: int = 3) -> str:
    return ", ".join(str(key) for key in list(weights)[:count]) + (", ..." if len(weights) > count else "")
