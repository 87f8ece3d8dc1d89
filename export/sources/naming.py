"""Names for what a file or folder does not name itself."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils import _pytree

from export.errors import SourceError, in_one_line

__all__ = ["model_name", "output_names"]

_LONGEST_NAME = 63


def model_name(path: Path, given: str | None) -> str:
    """Return the name that was given, or one made of the file's or folder's name.

    Raises:
        SourceError: Nothing in the file's name can be part of a model's.
    """
    if given is not None:
        return given
    made = re.sub(r"[^a-z0-9]+", "-", (path.resolve().stem if path.is_file() else path.resolve().name).lower())
    made = made.strip("-")[:_LONGEST_NAME].rstrip("-")
    if not made:
        msg = f"source {path}: nothing in its name is a letter or a digit, expected --name"
        raise SourceError(msg)
    return made


def output_names(
    module: torch.nn.Module, inputs: Sequence[torch.Tensor], given: Sequence[str], subject: str
) -> list[str]:
    """Return names for what `module` answers to `inputs`: those given, the keys of a dict, or numbered ones.

    Raises:
        SourceError: The module refuses the inputs, or another number of names is given.
    """
    try:
        with torch.inference_mode():
            result = module(*inputs)
    except Exception as error:  # the module may raise anything
        shapes = [f"{value.dtype} {list(value.shape)}" for value in inputs]
        msg = f"{subject}: {type(error).__name__} on inputs {shapes}: {in_one_line(error)}; give others with --input"
        raise SourceError(msg) from error
    count = len(_pytree.tree_leaves(result))
    if given and len(given) != count:
        msg = f"{subject}: {len(given)} names with --output, expected {count}, one for each output"
        raise SourceError(msg)
    if given:
        return list(given)
    if isinstance(result, dict) and len(result) == count and all(isinstance(key, str) for key in result):
        return list(result)
    return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
