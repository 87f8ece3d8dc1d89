"""A model's first golden as a request to it, which takes no knowledge of the model, and how it is answered."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.errors import ColdStartError
from handlers.api.oip.binary import decode_binary, encode_binary
from handlers.registry.manifest import Manifest, Variant
from handlers.runtime.goldens import Golden, deviation

__all__ = ["check_answer", "headers_of", "to_event"]

_HEADER_LENGTH = "inference-header-content-length"


def to_event(manifest: Manifest, golden: Golden) -> dict[str, Any]:
    """Return the event of a REST API that asks for the golden, all tensors in binary, so that nothing is rounded."""
    inputs, tensors = [], []
    for spec in manifest.inputs:
        array = golden[0][spec.name]
        tensors.append(bytes(encode_binary(array, spec.datatype)))
        inputs.append(
            {
                "name": spec.name,
                "datatype": spec.datatype,
                "shape": list(array.shape),
                "parameters": {"binary_data_size": len(tensors[-1])},
            }
        )
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    path = f"/v2/models/{manifest.model}/infer"
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    return {
        "resource": "/v2/{proxy+}",
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"resourcePath": "/v2/{proxy+}", "httpMethod": "POST", "path": path, "identity": {}},
        "body": base64.b64encode(b"".join([header, *tensors])).decode(),
        "isBase64Encoded": True,
    }


def check_answer(answer: Mapping[str, Any], manifest: Manifest, golden: Golden, variant: Variant) -> None:
    """Check an answer to that event.

    Raises:
        ColdStartError: It is further from the golden than the manifest allows the variant that answered.
    """
    found = _outputs(answer)
    for name, expected in golden[1].items():
        kept = found[name].reshape(-1)[:: manifest.goldens.output_stride]
        allowed = variant.golden_tolerance.get(name, 0.0)
        if kept.shape == expected.shape and deviation(kept, expected) <= allowed:
            continue
        msg = f"model {manifest.model!r} version {manifest.version}: {variant.name} answers output {name!r} "
        if kept.shape != expected.shape:
            msg += f"with {kept.size} golden elements, expected {expected.size}"
            raise ColdStartError(msg)
        worst = max(range(kept.size), key=lambda i: deviation(kept[i : i + 1], expected[i : i + 1]))
        msg += f"with {kept[worst]} at its golden element {worst}, expected {expected[worst]} within {allowed:.6g}"
        raise ColdStartError(msg)


def headers_of(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of an answer to a REST API, in lower case, the first of each."""
    several: dict[str, list[str]] = answer["multiValueHeaders"]
    single: dict[str, str] = answer["headers"]
    return {name: values[0] for name, values in several.items()} | single


def _outputs(answer: Mapping[str, Any]) -> dict[str, np.ndarray]:
    body = memoryview(base64.b64decode(answer["body"]))
    end = int(headers_of(answer)[_HEADER_LENGTH])
    found = {}
    for output in json.loads(bytes(body[:end]))["outputs"]:
        data = body[end : end + output["parameters"]["binary_data_size"]]
        end += len(data)
        found[output["name"]] = decode_binary(output["name"], output["datatype"], output["shape"], data)
    return found
