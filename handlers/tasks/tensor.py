"""The task `tensor`: the user's input is the tensors themselves, so there is nothing to do but to check them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from handlers.errors import InvalidInput

if TYPE_CHECKING:
    from handlers.registry.manifest import Batching, Datatype, TensorSpec

__all__ = ["check_names", "check_tensor", "served_specs", "show_names"]

_SHOWN_NAMES = 10


def served_specs(specs: "Sequence[TensorSpec]", batching: "Batching | None") -> "tuple[TensorSpec, ...]":
    """Return what is taken and returned by a service that cuts batches: where axis 0 counts samples, it may vary."""
    if batching is None:
        return tuple(specs)
    return tuple(msgspec.structs.replace(spec, shape=(-1, *spec.shape[1:])) for spec in specs)


def check_names(given: Sequence[str], specs: "Mapping[str, TensorSpec]") -> None:
    """Check that the inputs given are the model's, each once.

    Raises:
        InvalidInput: One is missing, unknown or there twice.
    """
    if len(given) == len(specs) and set(given) == specs.keys():
        return
    msg = f"inputs: {show_names(given)}, expected each once of: {', '.join(specs)}"
    raise InvalidInput(msg)


def check_tensor(spec: "TensorSpec", datatype: "Datatype | str", shape: Sequence[int]) -> None:
    """Check an input's datatype and shape against what the model takes.

    Raises:
        InvalidInput: They differ.
    """
    if datatype != spec.datatype:
        msg = f"input {spec.name!r}: datatype {datatype[:20]!r}, expected {spec.datatype!r}"
        raise InvalidInput(msg)
    if not _fits(shape, spec.shape):
        msg = f"input {spec.name!r}: shape {list(shape)[:20]}, expected {list(spec.shape)} where -1 is any length"
        raise InvalidInput(msg)


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    if len(shape) != len(expected):
        return False
    for length, known in zip(shape, expected, strict=True):  # noqa: SIM110 - a generator takes twice as long
        if known not in (-1, length):
            return False
    return True


def show_names(names: Sequence[str]) -> str:
    """Return names from a request as an error message may repeat them: ten at most, 80 characters of each."""
    shown = [repr(name[:80]) for name in names[:_SHOWN_NAMES]]
    return ", ".join([*shown, "..."] if len(names) > _SHOWN_NAMES else shown) or "none"
