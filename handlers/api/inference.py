"""The infer call of the Open Inference Protocol: from the body's bytes to the answer's.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md, "Inference".
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from handlers.api.call import Call
from handlers.api.payload_tensors import (
    ADDRESS_BYTES,
    Parameters,
    allows_payload,
    check_payload_size,
    fetch_inputs,
    outputs_to_send,
    payload_of,
    send_output,
)
from handlers.api.raw_tensors import decode_binary, encode_binary
from handlers.api.tensors import decode_tensor, encode_tensor
from handlers.errors import InvalidInput
from handlers.payloads.transfer import Transfer
from handlers.registry.loading import LoadedModel
from handlers.tasks.arrays import Arrays
from handlers.tasks.tensor import check_names, check_tensor, show_names

__all__ = ["infer"]

_LONGEST_AXIS = 2**63 - 1  # as in ONNX and numpy; integers of thousands of digits can be multiplied, but not printed


class _InputTensor(msgspec.Struct):
    name: str
    shape: list[Annotated[int, Meta(ge=0, le=_LONGEST_AXIS)]]
    datatype: str
    data: Raw = Raw(b"")  # empty where there is none: in a union with None, msgspec would take nothing else
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
    data: Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters | msgspec.UnsetType = msgspec.UNSET


class _InferResponse(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_OutputTensor]
    id: str | None = None


_decoder = msgspec.json.Decoder(_InferRequest)
_encoder = msgspec.json.Encoder()


def infer(call: Call, body: bytes) -> bytes:
    """Run the model on the tensors in `body` and return the body of the answer.

    Tensors may travel through the payload bucket; `Transfer` raises more than is listed here.

    Raises:
        InvalidInput: The body is no inference request, or not one that this model can take.
        AnswerTooLarge: The answer is, and the request does not allow its outputs to travel through the payload bucket.
        RuntimeFailure: The model could not be run for want of memory.
    """
    model, transfer = call.model, call.transfer
    with call.clock.phase("decode"):
        request = _decode(body)
        by_payload = allows_payload(request.parameters, transfer)
        allowed = {
            output.name
            for output in request.outputs or [_RequestedOutput(spec.name) for spec in model.manifest.outputs]
            if allows_payload(output.parameters, transfer, otherwise=by_payload)
        }
        names = _output_names(model, request.outputs or [])
        inputs = _decode_inputs(model, request.inputs, transfer)
    results = call.run(inputs, names)
    with call.clock.phase("encode"):
        return _encode(call, request.id, results, allowed)


def _encode(call: Call, id_: str | None, results: Arrays, allowed: set[str]) -> bytes:
    model, transfer, max_bytes = call.model, call.transfer, call.max_answer_bytes
    datatypes = {spec.name: spec.datatype for spec in model.manifest.outputs}
    least = {name: 2 * array.size for name, array in results.items()}  # of each element a digit and a comma
    sent = outputs_to_send(transfer, least, allowed, sum(least.values()), max_bytes)
    outputs = {
        name: _OutputTensor(name, array.shape, datatypes[name])
        if name in sent
        else _OutputTensor(name, array.shape, datatypes[name], Raw(_encoder.encode(encode_tensor(array))))
        for name, array in results.items()
    }
    response = _InferResponse(model.name, model.version, [*outputs.values()], id_)
    answer = _encoder.encode(response)
    sizes = {name: len(memoryview(output.data)) for name, output in outputs.items() if output.data}
    sent += outputs_to_send(transfer, sizes, allowed, len(answer) + len(sent) * ADDRESS_BYTES, max_bytes)
    for name in sent:
        outputs[name].data = msgspec.UNSET
        outputs[name].parameters = send_output(transfer, encode_binary(results[name], datatypes[name]))
    return _encoder.encode(response) if sent else answer


def _decode(body: bytes) -> _InferRequest:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"body: {error}, expected an inference request in JSON"
        raise InvalidInput(msg) from error
    except RecursionError as error:
        msg = "body: nested too deep, expected an inference request in JSON"
        raise InvalidInput(msg) from error


def _decode_inputs(model: LoadedModel, tensors: Sequence[_InputTensor], transfer: Transfer) -> Arrays:
    specs = {spec.name: spec for spec in model.manifest.inputs}
    check_names([tensor.name for tensor in tensors], specs)
    payloads: dict[str, str] = {}
    for tensor in tensors:
        check_tensor(specs[tensor.name], tensor.datatype, tensor.shape)
        payload = payload_of(tensor.name, tensor.parameters, has_data=len(memoryview(tensor.data)) > 0)
        if payload is not None:
            check_payload_size(specs[tensor.name], tensor.shape, payload)
            payloads[tensor.name] = payload
    fetched = fetch_inputs(transfer, payloads)
    arrays: Arrays = {}
    for tensor in tensors:
        name, datatype = tensor.name, specs[tensor.name].datatype
        arrays[name] = (
            decode_binary(name, datatype, tensor.shape, fetched[name])
            if name in fetched
            else decode_tensor(name, datatype, tensor.shape, bytes(tensor.data))
        )
    return arrays


def _output_names(model: LoadedModel, requested: Sequence[_RequestedOutput]) -> list[str]:
    known = [spec.name for spec in model.manifest.outputs]
    names = [output.name for output in requested] or known
    if len(set(names)) != len(names) or not set(names) <= set(known):
        msg = f"outputs: {show_names(names)}, expected each at most once of: {', '.join(known)}"
        raise InvalidInput(msg)
    return names
