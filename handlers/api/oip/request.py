"""What an inference request asks for, whether its tensors are in JSON, binary, or some of each."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw

from handlers.api.call import Call
from handlers.api.oip.binary import decode_binary, element_bytes
from handlers.api.oip.document import InputTensor, Parameters, RequestedOutput, read_document
from handlers.api.oip.tensors import decode_tensor, to_tensor
from handlers.api.payload_tensors import check_payload_size, fetch_inputs
from handlers.errors import InvalidInput, NotSupported
from handlers.payloads.transfer import Transfer
from handlers.registry.manifest import TensorSpec
from handlers.tasks.arrays import Arrays
from handlers.tasks.tensor import check_names, check_tensor, show_names

__all__ = ["InferRequest", "WantedOutput", "read_request"]

T = TypeVar("T")

_MICROSECONDS = 1_000_000
_LARGEST = 2**63 - 1  # JSON may hold integers of thousands of digits, which can neither be printed nor divided

Positive = Annotated[int, Meta(ge=1, le=_LARGEST)]
NotNegative = Annotated[int, Meta(ge=0, le=_LARGEST)]


class WantedOutput(msgspec.Struct, frozen=True):
    """An output to send: as binary or JSON; `classes`, if given, is how many elements to name in place of all.

    `payload` says whether it may go through the payload bucket, if the answer is too large.
    """

    name: str
    binary: bool
    classes: int | None = None
    payload: bool = False


class InferRequest(msgspec.Struct, frozen=True):
    """A request that the model can take: its inputs, the outputs wanted in their order, and what to echo."""

    inputs: Arrays
    outputs: Sequence[WantedOutput]
    id: str | None = None


class _RequestParameters(msgspec.Struct):
    """Those of a request that mean something here; `timeout` in microseconds, 0: none."""

    binary_data_output: bool = False
    payload_output: bool = False
    timeout: NotNegative = 0


class _InputParameters(msgspec.Struct):
    binary_data_size: NotNegative | None = None
    payload: str | None = None
    shared_memory_region: str | None = None


_NO_PARAMETERS = _InputParameters()


class _OutputParameters(msgspec.Struct):
    binary_data: bool | None = None
    classification: Positive | None = None
    payload_output: bool | None = None
    shared_memory_region: str | None = None


def read_request(call: Call, body: bytes, json_bytes: int | None) -> InferRequest:
    """Return what a request asks of a model, and let it take no longer than its `timeout` says.

    Args:
        call: To the model. Inputs in the payload bucket are fetched: its transfer raises more than is listed here.
        body: JSON, and after it the binary tensors in the order of the inputs.
        json_bytes: Length of the JSON; None: all of it. 0: the body is the elements of the only input, and all outputs
            are wanted in binary.

    Raises:
        InvalidInput: The body is no inference request, or not one that this model can take.
        NotSupported: It points at memory that it would share with a server on the same machine.
    """
    model = call.model
    if json_bytes == 0:
        outputs = [WantedOutput(spec.name, binary=True) for spec in model.outputs]
        return InferRequest(_read_raw(model.inputs, body), outputs)
    if json_bytes is not None and json_bytes > len(body):
        msg = f"Inference-Header-Content-Length: {json_bytes}, expected at most the body's {len(body)} bytes"
        raise InvalidInput(msg)
    whole = memoryview(body)
    text, binary = (body, whole[len(body) :]) if json_bytes is None else (whole[:json_bytes], whole[json_bytes:])
    request, nesting = read_document(text, model.inputs)
    parameters = _read_parameters("request", request.parameters, _RequestParameters)
    call.limit(parameters.timeout / _MICROSECONDS or None)
    outputs = _read_outputs(model.outputs, request.outputs or [], parameters)
    if any(output.payload for output in outputs):
        call.transfer.check()
    data = _find_data(model.inputs, request.inputs, binary, call.transfer, framed=json_bytes is not None)
    inputs = _read_inputs(model.inputs, request.inputs, data, nesting)
    return InferRequest(inputs, outputs, request.id)


def _find_data(
    known: Sequence[TensorSpec], tensors: Sequence[InputTensor], binary: memoryview, transfer: Transfer, *, framed: bool
) -> dict[str, memoryview]:
    """Return the bytes of those inputs that are not in the JSON: from behind it, and from the payload bucket."""
    specs = {spec.name: spec for spec in known}
    check_names([tensor.name for tensor in tensors], specs)
    found: dict[str, memoryview] = {}
    payloads: dict[str, str] = {}
    used = 0
    for tensor in tensors:
        check_tensor(specs[tensor.name], tensor.datatype, tensor.shape)
        parameters = _read_input_parameters(tensor, len(binary) - used, framed=framed)
        if parameters.payload is not None:
            check_payload_size(specs[tensor.name], tensor.shape, parameters.payload)
            payloads[tensor.name] = parameters.payload
        elif parameters.binary_data_size is not None:
            found[tensor.name] = binary[used : used + parameters.binary_data_size]
            used += parameters.binary_data_size
    if used != len(binary):
        msg = f"body: {len(binary) - used} bytes after the last binary tensor, expected none"
        raise InvalidInput(msg)
    return found | fetch_inputs(transfer, payloads)


def _read_inputs(
    known: Sequence[TensorSpec], tensors: Sequence[InputTensor], found: dict[str, memoryview], nesting: int
) -> Arrays:
    datatypes = {spec.name: spec.datatype for spec in known}
    arrays: Arrays = {}
    for tensor in tensors:
        name, shape, data = tensor.name, tensor.shape, tensor.data
        if name in found:
            arrays[name] = decode_binary(name, datatypes[name], shape, found[name])
        elif isinstance(data, Raw):
            arrays[name] = decode_tensor(name, datatypes[name], shape, memoryview(data))
        else:
            arrays[name] = to_tensor(name, datatypes[name], shape, data, nesting)
    return arrays


def _read_input_parameters(tensor: InputTensor, left: int, *, framed: bool) -> _InputParameters:
    """Return where the tensor's data is: in the JSON, or `binary_data_size` bytes behind it, or in a payload."""
    if not tensor.parameters and tensor.has_data:  # as most are
        return _NO_PARAMETERS
    subject = f"input {tensor.name!r}"
    parameters = _read_parameters(subject, tensor.parameters, _InputParameters)
    _refuse_shared_memory(subject, parameters.shared_memory_region)
    size = parameters.binary_data_size
    places = [
        place
        for place, there in {
            "`data`": tensor.has_data,
            "binary_data_size": size is not None,
            "payload": parameters.payload is not None,
        }.items()
        if there
    ]
    if len(places) != 1:
        found = " and ".join(places) or "neither"
        msg = f"{subject}: {found}, expected either `data` or one of the parameters binary_data_size and payload"
        raise InvalidInput(msg)
    if size is not None and not framed:
        msg = f"{subject}: binary data, expected the header Inference-Header-Content-Length to say where it begins"
        raise InvalidInput(msg)
    if size is not None and size > left:
        msg = f"{subject}: binary_data_size {size}, expected at most {left}, which are left of the body"
        raise InvalidInput(msg)
    return parameters


def _read_outputs(
    known: Sequence[TensorSpec], requested: Sequence[RequestedOutput], request: _RequestParameters
) -> list[WantedOutput]:
    names = [spec.name for spec in known]
    if not requested:
        return [WantedOutput(name, request.binary_data_output, payload=request.payload_output) for name in names]
    asked = [output.name for output in requested]
    if len(set(asked)) != len(asked) or not set(asked) <= set(names):
        msg = f"outputs: {show_names(asked)}, expected each at most once of: {', '.join(names)}"
        raise InvalidInput(msg)
    wanted = []
    for output in requested:
        subject = f"output {output.name!r}"
        parameters = _read_parameters(subject, output.parameters, _OutputParameters)
        _refuse_shared_memory(subject, parameters.shared_memory_region)
        binary = request.binary_data_output if parameters.binary_data is None else parameters.binary_data
        payload = request.payload_output if parameters.payload_output is None else parameters.payload_output
        wanted.append(WantedOutput(output.name, binary, parameters.classification, payload))
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
