"""The infer call of the Open Inference Protocol: from the body's bytes to the answer's.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Inference".
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from handlers.api.call import Call
from handlers.api.tensors import decode_tensor, encode_tensor
from handlers.errors import InvalidInput
from handlers.registry.loading import LoadedModel
from handlers.tasks.arrays import Arrays
from handlers.tasks.tensor import check_names, check_tensor, show_names

__all__ = ["infer"]

Parameters = dict[str, bool | int | float | str]

_LONGEST_AXIS = 2**63 - 1  # as in ONNX and numpy; integers of thousands of digits can be multiplied, but not printed


class _InputTensor(msgspec.Struct):
    name: str
    shape: list[Annotated[int, Meta(ge=0, le=_LONGEST_AXIS)]]
    datatype: str
    data: Raw
    parameters: Parameters | None = None


class _RequestedOutput(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _InferRequest(msgspec.Struct):
    inputs: list[_InputTensor]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[_RequestedOutput] | None = None


class _OutputTensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[object]


class _InferResponse(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_OutputTensor]
    id: str | None = None


_decoder = msgspec.json.Decoder(_InferRequest)
_encoder = msgspec.json.Encoder()


def infer(call: Call, body: bytes) -> bytes:
    """Run the model on the tensors in `body` and return the body of the answer.

    Raises:
        InvalidInput: The body is no inference request, or not one that this model can take.
        DeadlineExceeded, InsufficientMemory, RuntimeFailure: As `Call.run`.
    """
    model = call.model
    with call.clock.phase("decode"):
        request = _decode(body)
        call.limit(request.parameters)
        inputs = _decode_inputs(model, request.inputs)
        names = _output_names(model, request.outputs or [])
    results = call.run(inputs, names)
    with call.clock.phase("encode"):
        datatypes = {spec.name: spec.datatype for spec in model.manifest.outputs}
        outputs = [
            _OutputTensor(name, array.shape, datatypes[name], encode_tensor(array)) for name, array in results.items()
        ]
        return _encoder.encode(_InferResponse(model.name, model.version, outputs, request.id))


def _decode(body: bytes) -> _InferRequest:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"body: {error}, expected an inference request in JSON"
        raise InvalidInput(msg) from error
    except RecursionError as error:
        msg = "body: nested too deep, expected an inference request in JSON"
        raise InvalidInput(msg) from error


def _decode_inputs(model: LoadedModel, tensors: Sequence[_InputTensor]) -> Arrays:
    specs = {spec.name: spec for spec in model.inputs}
    check_names([tensor.name for tensor in tensors], specs)
    arrays: Arrays = {}
    for tensor in tensors:
        spec = specs[tensor.name]
        check_tensor(spec, tensor.datatype, tensor.shape)
        arrays[tensor.name] = decode_tensor(tensor.name, spec.datatype, tensor.shape, bytes(tensor.data))
    return arrays


def _output_names(model: LoadedModel, requested: Sequence[_RequestedOutput]) -> list[str]:
    known = [spec.name for spec in model.manifest.outputs]
    names = [output.name for output in requested] or known
    if len(set(names)) != len(names) or not set(names) <= set(known):
        msg = f"outputs: {show_names(names)}, expected each at most once of: {', '.join(known)}"
        raise InvalidInput(msg)
    return names
