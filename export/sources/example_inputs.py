"""Example inputs from the command line: `name=FP32[batch,3,224,224]`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from export.errors import SourceError
from handlers.tasks.datatypes import NUMPY_TYPES

__all__ = ["ExampleInputs", "parse_inputs"]

_INPUT = re.compile(r"(?P<name>[^=\[\]]+)=(?P<datatype>[A-Z0-9]+)\[(?P<shape>[^\[\]]*)\]")
_AXIS = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(=(?P<length>[1-9][0-9]*))?|(?P<fixed>[1-9][0-9]*)")
_FIRST_LENGTH = 1  # of a named axis 0: one sample
_OTHER_LENGTH = 8  # of any other named axis
_EXPECTED = "expected name=DATATYPE[axes] such as image=FP32[batch,3,224,224] or ids=INT64[batch,sequence=16]"


@dataclass(frozen=True)
class ExampleInputs:
    """Tensors by name, and which of their axes vary."""

    tensors: dict[str, torch.Tensor]
    dynamic: dict[str, dict[int, str]]


def parse_inputs(words: Sequence[str]) -> ExampleInputs:
    """Return the example inputs that `words` describe.

    An axis is a number, a name (it varies, and is 1 long in the example where it comes first, 8 elsewhere), or
    `name=length`. Axes of one name are one axis. Numbers are drawn from the normal distribution; integers are 0 and
    booleans true, since no other value need be legal.

    Raises:
        SourceError: A word is not of that form.
    """
    random = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    dynamic: dict[str, dict[int, str]] = {}
    lengths: dict[str, int] = {}
    for word in words:
        match = _INPUT.fullmatch(word.replace(" ", ""))
        axes = [_AXIS.fullmatch(axis) for axis in match["shape"].split(",") if axis] if match else []
        if match is None or not all(axes) or match["name"] in tensors:
            msg = f"--input {word!r}: {'given twice' if match and match['name'] in tensors else 'not understood'}, "
            raise SourceError(msg + _EXPECTED)
        shape = []
        for i, axis in enumerate(axes):
            assert axis is not None  # noqa: S101 - looked at above
            if axis["fixed"]:
                shape.append(int(axis["fixed"]))
                continue
            default = _FIRST_LENGTH if i == 0 else _OTHER_LENGTH
            lengths[axis["name"]] = int(axis["length"] or lengths.get(axis["name"], default))
            dynamic.setdefault(match["name"], {})[i] = axis["name"]
            shape.append(lengths[axis["name"]])
        tensors[match["name"]] = _tensor(match["datatype"], shape, random, word)
    return ExampleInputs(tensors, dynamic)


def _tensor(datatype: str, shape: list[int], random: torch.Generator, word: str) -> torch.Tensor:
    known = {name: str(dtype) for name, dtype in NUMPY_TYPES.items() if name not in {"BYTES", "BF16"}}
    if datatype not in known:
        msg = f"--input {word!r}: datatype {datatype}, expected one of {', '.join(known)}"
        raise SourceError(msg)
    dtype: torch.dtype = getattr(torch, known[datatype])
    if dtype.is_floating_point:
        return torch.randn(shape, generator=random).to(dtype)
    return torch.ones(shape, dtype=dtype) if dtype == torch.bool else torch.zeros(shape, dtype=dtype)
