"""The answer to an inference request: JSON, and after it the binary tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from handlers.api.oip.binary import encode_binary
from handlers.api.oip.classification import classify, labels_of
from handlers.api.oip.request import InferRequest
from handlers.api.oip.tensors import encode_tensor
from handlers.registry.loading import LoadedModel

__all__ = ["InferAnswer", "write_answer"]


@dataclass(frozen=True)
class InferAnswer:
    """The body of an answer; `json_bytes` is the length of the JSON in it where binary tensors follow, else None."""

    body: bytes
    json_bytes: int | None


class _OutputTensor(msgspec.Struct, omit_defaults=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[object] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, int] | None = None


class _Response(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_OutputTensor]
    id: str | None = None


_encoder = msgspec.json.Encoder()


def write_answer(model: LoadedModel, request: InferRequest, results: Mapping[str, np.ndarray]) -> InferAnswer:
    """Return the answer that holds these results as the request wants them.

    Raises:
        InvalidInput: An output cannot be answered as classes.
    """
    datatypes = {spec.name: spec.datatype for spec in model.manifest.outputs}
    tensors = []
    buffers = []
    for wanted in request.outputs:
        name = wanted.name
        array, datatype = results[name], datatypes[name]
        if wanted.classes is not None:
            array, datatype = classify(name, array, wanted.classes, labels_of(model.manifest, name)), "BYTES"
        if wanted.binary:
            buffer = encode_binary(array, datatype)
            buffers.append(buffer)
            tensors.append(_OutputTensor(name, array.shape, datatype, parameters={"binary_data_size": len(buffer)}))
        else:
            tensors.append(_OutputTensor(name, array.shape, datatype, encode_tensor(array)))
    text = _encoder.encode(_Response(model.name, model.version, tensors, request.id))
    if not buffers:
        return InferAnswer(text, None)
    return InferAnswer(b"".join([text, *buffers]), len(text))
