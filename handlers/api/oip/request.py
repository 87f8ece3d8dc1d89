"""What an inference request asks for, whether its tensors are in JSON, binary, or some of each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw

from handlers.api.oip.binary import decode_binary, element_bytes
from handlers.api.oip.tensors import decode_tensor
from handlers.errors import InvalidInput, NotSupported
from handlers.registry.manifest import Manifest, TensorSpec
from handlers.tasks.arrays import Arrays
from handlers.tasks.tensor import check_names, check_tensor, show_names

__all__ = ["InferRequest", "WantedOutput", "read_request"]

T = TypeVar("T")

_LONGEST_AXIS = 2**63 - 1  # as in ONNX and numpy; integers of thousands of digits can be multiplied, but not printed
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class WantedOutput:
    """An output to send: as binary or JSON; `classes`, if given, is how many elements to name in place of all."""

    name: str
    binary: bool
    classes: int | None = None


@dataclass(frozen=True)
class InferRequest:
    """A request that the model can take: its inputs, the outputs wanted in their order, and what to echo.

    `timeout_s` is what the caller allows for it, None where nothing was said.
    """

    inputs: Arrays
    outputs: Sequence[WantedOutput]
    id: str | None = None
    timeout_s: float | None = None


Parameters = dict[str, bool | int | float | str]


class _InputTensor(msgspec.Struct):
    name: str
    shape: list[Annotated[int, Meta(ge=0, le=_LONGEST_AXIS)]]
    datatype: str
    data: Raw = Raw(b"")  # empty where there is none: in a union with None, msgspec would take nothing else
    parameters: Parameters | None = None


class _RequestedOutput(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _Request(msgspec.Struct):
    inputs: list[_InputTensor]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[_RequestedOutput] | None = None


class _RequestParameters(msgspec.Struct):
    """Those of a request that mean something here; `timeout` in microseconds, 0: none."""

    binary_data_output: bool = False
    timeout: Annotated[int, Meta(ge=0)] = 0


class _InputParameters(msgspec.Struct):
    binary_data_size: Annotated[int, Meta(ge=0)] | None = None
    shared_memory_region: str | None = None


class _OutputParameters(msgspec.Struct):
    binary_data: bool | None = None
    classification: Annotated[int, Meta(ge=1)] | None = None
    shared_memory_region: str | None = None


_decoder = msgspec.json.Decoder(_Request)


def read_request(manifest: Manifest, body: bytes, json_bytes: int | None) -> InferRequest:
    """Return what a request asks of a model.

    Args:
        manifest: The model's.
        body: JSON, and after it the binary tensors in the order of the inputs.
        json_bytes: Length of the JSON; None: all of it. 0: the body is the elements of the only input, and all outputs
            are wanted in binary.

    Raises:
        InvalidInput: The body is no inference request, or not one that this model can take.
        NotSupported: It points at memory that it would share with a server on the same machine.
    """
    if json_bytes == 0:
        outputs = [WantedOutput(spec.name, binary=True) for spec in manifest.outputs]
        return InferRequest(_read_raw(manifest.inputs, body), outputs)
    whole = memoryview(body)
    if json_bytes is not None and json_bytes > len(body):
        msg = f"Inference-Header-Content-Length: {json_bytes}, expected at most the body's {len(body)} bytes"
        raise InvalidInput(msg)
    request = _decode(whole[:json_bytes])
    parameters = _read_parameters("request", request.parameters, _RequestParameters)
    binary = whole[len(body) if json_bytes is None else json_bytes :]
    inputs = _read_inputs(manifest.inputs, request.inputs, binary, framed=json_bytes is not None)
    outputs = _read_outputs(manifest.outputs, request.outputs or [], binary=parameters.binary_data_output)
    return InferRequest(inputs, outputs, request.id, parameters.timeout / _MICROSECONDS or None)


def _decode(text: memoryview) -> _Request:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"body: {error}, expected an inference request in JSON"
        raise InvalidInput(msg) from error
    except RecursionError as error:
        msg = "body: nested too deep, expected an inference request in JSON"
        raise InvalidInput(msg) from error


def _read_inputs(
    known: Sequence[TensorSpec], tensors: Sequence[_InputTensor], binary: memoryview, *, framed: bool
) -> Arrays:
    specs = {spec.name: spec for spec in known}
    check_names([tensor.name for tensor in tensors], specs)
    arrays: Arrays = {}
    used = 0
    for tensor in tensors:
        spec = specs[tensor.name]
        check_tensor(spec, tensor.datatype, tensor.shape)
        size = _binary_size(tensor, len(binary) - used, framed=framed)
        if size is None:
            text = memoryview(tensor.data)
            arrays[tensor.name] = decode_tensor(tensor.name, spec.datatype, tensor.shape, text)
        else:
            data = binary[used : used + size]
            arrays[tensor.name] = decode_binary(tensor.name, spec.datatype, tensor.shape, data)
            used += size
    if used != len(binary):
        msg = f"body: {len(binary) - used} bytes after the last binary tensor, expected none"
        raise InvalidInput(msg)
    return arrays


def _binary_size(tensor: _InputTensor, left: int, *, framed: bool) -> int | None:
    """Return how many bytes of binary data are the tensor's, None where its data is in the JSON."""
    subject = f"input {tensor.name!r}"
    parameters = _read_parameters(subject, tensor.parameters, _InputParameters)
    _refuse_shared_memory(subject, parameters.shared_memory_region)
    size = parameters.binary_data_size
    if (size is None) == (len(memoryview(tensor.data)) == 0):
        found = "neither" if size is None else "both"
        msg = f"{subject}: {found}, expected either `data` or the parameter binary_data_size"
        raise InvalidInput(msg)
    if size is not None and not framed:
        msg = f"{subject}: binary data, expected the header Inference-Header-Content-Length to say where it begins"
        raise InvalidInput(msg)
    if size is not None and size > left:
        msg = f"{subject}: binary_data_size {size}, expected at most {left}, which are left of the body"
        raise InvalidInput(msg)
    return size


def _read_outputs(
    known: Sequence[TensorSpec], requested: Sequence[_RequestedOutput], *, binary: bool
) -> list[WantedOutput]:
    names = [spec.name for spec in known]
    if not requested:
        return [WantedOutput(name, binary) for name in names]
    asked = [output.name for output in requested]
    if len(set(asked)) != len(asked) or not set(asked) <= set(names):
        msg = f"outputs: {show_names(asked)}, expected each at most once of: {', '.join(names)}"
        raise InvalidInput(msg)
    wanted = []
    for output in requested:
        subject = f"output {output.name!r}"
        parameters = _read_parameters(subject, output.parameters, _OutputParameters)
        _refuse_shared_memory(subject, parameters.shared_memory_region)
        as_binary = binary if parameters.binary_data is None else parameters.binary_data
        wanted.append(WantedOutput(output.name, as_binary, parameters.classification))
    return wanted


def _read_raw(inputs: Sequence[TensorSpec], body: bytes) -> Arrays:
    """Return the only input, whose shape follows from the body's length; of BYTES, the whole body is one text."""
    variable = [len([axis for axis in spec.shape if axis == -1]) for spec in inputs]
    if len(inputs) != 1 or (variable[0] > 1 and inputs[0].datatype != "BYTES"):
        msg = (
            f"body: tensor data alone (Inference-Header-Content-Length: 0), expected a model of one input with at most "
            f"one variable axis, not {[list(spec.shape) for spec in inputs]}; describe the tensors in JSON"
        )
        raise InvalidInput(msg)
    [spec] = inputs
    if spec.datatype == "BYTES":
        shape = [1 if axis == -1 else axis for axis in spec.shape]
        framed = len(body).to_bytes(element_bytes("BYTES"), "little") + body
        return {spec.name: decode_binary(spec.name, "BYTES", shape, memoryview(framed))}
    others = math.prod(axis for axis in spec.shape if axis != -1) * element_bytes(spec.datatype)
    shape = [(len(body) // others if others else 0) if axis == -1 else axis for axis in spec.shape]
    check_tensor(spec, spec.datatype, shape)
    return {spec.name: decode_binary(spec.name, spec.datatype, shape, memoryview(body))}


def _read_parameters(subject: str, parameters: Parameters | None, kind: type[T]) -> T:
    """Return those parameters that mean something here; as the specification has it, others are let pass."""
    if not parameters:
        return kind()
    try:
        return msgspec.convert(parameters, kind)
    except msgspec.ValidationError as error:
        msg = f"{subject}: parameters: {error}, expected a value that makes sense"
        raise InvalidInput(msg) from error


def _refuse_shared_memory(subject: str, region: Any) -> None:  # noqa: ANN401 - whatever it is, it is not here
    if region is not None:
        msg = f"{subject}: shared_memory_region, expected the tensor in the body: no memory is shared with clients here"
        raise NotSupported(msg)
