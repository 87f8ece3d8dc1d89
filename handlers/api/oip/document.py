"""The JSON of an inference request, as it comes: what is in it, not yet whether the model can take it.

Large tensors are read once where one look tells it all, else twice: first to see where their elements are and what they
are to be, then for the elements.
"""

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from handlers.api.oip.tensors import nesting_of
from handlers.errors import InvalidInput
from handlers.registry.manifest import Datatype, TensorSpec
from handlers.tasks.elements import nested_type

__all__ = ["Document", "InputTensor", "Parameters", "RequestedOutput", "read_document"]

_LONGEST_AXIS = 2**63 - 1  # as in ONNX and numpy; integers of thousands of digits can be multiplied, but not printed

Parameters = dict[str, bool | int | float | str]


class InputTensor(msgspec.Struct, kw_only=True):
    """A tensor; `data` is JSON text, empty where there is none, or lists of elements, UNSET where there are none."""

    name: str
    shape: list[Annotated[int, Meta(ge=0, le=_LONGEST_AXIS)]]
    datatype: str
    data: Any
    parameters: Parameters | None = None

    @property
    def has_data(self) -> bool:
        """Whether there is any, of whatever kind."""
        return bool(memoryview(self.data)) if isinstance(self.data, Raw) else self.data is not msgspec.UNSET


class _TextTensor(InputTensor):
    data: Raw = Raw(b"")  # in a union with None or UNSET, msgspec would take nothing else


class RequestedOutput(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: Parameters | None = None


class Document(msgspec.Struct, kw_only=True):
    """A whole request."""

    inputs: Sequence[InputTensor]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[RequestedOutput] | None = None


class _TextDocument(Document):
    inputs: list[_TextTensor]


_decoder = msgspec.json.Decoder(_TextDocument)


@functools.lru_cache(maxsize=256)
def _decoder_of(datatype: Datatype, nesting: int) -> msgspec.json.Decoder[Any]:
    """Return a decoder of requests whose inputs all are of that datatype, with that nesting if in JSON."""
    data = (nested_type(datatype, nesting) | msgspec.UnsetType, msgspec.UNSET)
    tensor = msgspec.defstruct("_ElementsTensor", [("data", *data)], bases=(InputTensor,), kw_only=True)
    request = msgspec.defstruct(
        "_ElementsRequest", [("inputs", list.__class_getitem__(tensor))], bases=(Document,), kw_only=True
    )
    return msgspec.json.Decoder(request)


def read_document(text: bytes | memoryview, inputs: Sequence[TensorSpec]) -> tuple[Document, int]:
    """Return a request, and what the `data` of its tensors is: the nesting of lists of elements, or 0 for JSON text.

    Args:
        text: The JSON; a view of it is looked at twice.
        inputs: What the model takes.

    Raises:
        InvalidInput: It is no inference request.
    """
    return (_read_elements(text, inputs) if isinstance(text, bytes) else None) or (_read(text), 0)


def _read_elements(text: bytes, inputs: Sequence[TensorSpec]) -> tuple[Any, int] | None:
    """Return a request with the elements of its tensors, and their nesting, where one look at the JSON tells it all.

    Else None: inputs have several datatypes, or something is wrong, which `_read` puts a name to. To read large
    tensors once, not once to see how long they are and again for their elements, takes a quarter off.
    """
    start = text.find(b'"data"')
    datatypes = {spec.datatype for spec in inputs}
    if start < 0 or len(datatypes) != 1:
        return None
    nesting = nesting_of(memoryview(text)[text.find(b":", start) + 1 :])
    if nesting not in {1, *(len(spec.shape) for spec in inputs)} - {0}:
        return None
    try:
        return _decoder_of(*datatypes, nesting).decode(text), nesting
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _read(text: bytes | memoryview) -> Document:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"body: {error}, expected an inference request in JSON"
        raise InvalidInput(msg) from error
    except RecursionError as error:
        msg = "body: nested too deep, expected an inference request in JSON"
        raise InvalidInput(msg) from error
