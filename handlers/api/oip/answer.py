"""The answer to an inference request: JSON, and after it the binary tensors."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw

from handlers.api.call import Call
from handlers.api.oip.binary import encode_binary
from handlers.api.oip.classification import classify, labels_of
from handlers.api.oip.request import InferRequest, WantedOutput
from handlers.api.oip.tensors import encode_tensor
from handlers.api.payload_tensors import ADDRESS_BYTES, Parameters, outputs_to_send, send_output
from handlers.registry.loading import LoadedModel
from handlers.registry.manifest import Datatype

__all__ = ["InferAnswer", "write_answer"]


class InferAnswer(msgspec.Struct, frozen=True):
    """The body of an answer; `json_bytes` is the length of the JSON in it where binary tensors follow, else None."""

    body: bytes
    json_bytes: int | None


class _OutputTensor(msgspec.Struct, omit_defaults=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: Raw | list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: Parameters | None = None


class _Response(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_OutputTensor]
    id: str | None = None


_BINARY = "application/octet-stream"
_encoder = msgspec.json.Encoder()


def write_answer(call: Call, request: InferRequest, results: Mapping[str, np.ndarray]) -> InferAnswer:
    """Return the answer that holds these results as the request wants them; what is too large goes to payloads.

    Raises:
        InvalidInput: An output cannot be answered as classes.
        AnswerTooLarge: The answer is, and not all that is too large may go through the payload bucket.
    """
    model, transfer = call.model, call.transfer
    if call.answer_limit.max_bytes is None and not any(wanted.binary for wanted in request.outputs):
        return _write_json(model, request, results)  # nothing is too large, so nothing has to be counted
    arrays = {wanted.name: _array(model, wanted, results[wanted.name]) for wanted in request.outputs}
    allowed = {wanted.name for wanted in request.outputs if wanted.payload}
    binary = {wanted.name for wanted in request.outputs if wanted.binary}
    # numbers in JSON travel as they are
    max_bytes = call.answer_limit.largest(_BINARY) if binary else call.answer_limit.max_bytes
    buffers = {name: encode_binary(*arrays[name]) for name in binary}
    # of elements in JSON, each takes a digit and a comma at least
    sizes = {name: len(buffers[name]) if name in binary else 2 * array.size for name, (array, _) in arrays.items()}
    sent = outputs_to_send(transfer, sizes, allowed, sum(sizes.values()), max_bytes)
    tensors = {name: _OutputTensor(name, array.shape, datatype) for name, (array, datatype) in arrays.items()}
    for name, tensor in tensors.items():
        if name in binary:
            tensor.parameters = {"binary_data_size": len(buffers[name])}
        elif name not in sent:
            data = _encoder.encode(encode_tensor(arrays[name][0]))
            tensor.data = Raw(data)
            sizes[name] = call.answer_limit.travels("application/json", data) if max_bytes else 0
    response = _Response(model.name, model.version, [*tensors.values()], request.id)
    text = _encoder.encode(response)
    if max_bytes is not None:
        left = {name: size for name, size in sizes.items() if name not in sent}
        found = call.answer_limit.travels("application/json", text) + len(sent) * ADDRESS_BYTES
        found += sum(left[name] for name in left.keys() & binary)
        sent += outputs_to_send(transfer, left, allowed, found, max_bytes)
    for name in sent:
        buffer = buffers.pop(name, None)
        tensors[name].data = msgspec.UNSET
        tensors[name].parameters = send_output(transfer, bytes(buffer or encode_binary(*arrays[name])))
    if sent:
        text = _encoder.encode(response)
    if not buffers:
        return InferAnswer(text, None)
    return InferAnswer(b"".join([text, *(buffers[name] for name in tensors if name in buffers)]), len(text))


def _write_json(model: LoadedModel, request: InferRequest, results: Mapping[str, np.ndarray]) -> InferAnswer:
    tensors = []
    for wanted in request.outputs:
        array, datatype = _array(model, wanted, results[wanted.name])
        tensors.append(_OutputTensor(wanted.name, array.shape, datatype, encode_tensor(array)))
    return InferAnswer(_encoder.encode(_Response(model.name, model.version, tensors, request.id)), None)


def _array(model: LoadedModel, wanted: WantedOutput, found: np.ndarray) -> tuple[np.ndarray, Datatype]:
    if wanted.classes is not None:
        return classify(wanted.name, found, wanted.classes, labels_of(model.manifest, wanted.name)), "BYTES"
    [datatype] = [spec.datatype for spec in model.manifest.outputs if spec.name == wanted.name]
    return found, datatype
