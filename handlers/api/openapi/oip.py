"""The paths of the Open Inference Protocol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.instances import InstanceForm
from handlers.api.openapi.operations import BINARY, MODEL, VERSION, Json, answers, json_content, operation, ref
from handlers.api.openapi.tensors import TENSOR_SCHEMAS, example_tensors, input_schema, one_of, output_schema

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel
    from handlers.registry.loading import LoadedModel

__all__ = ["SCHEMAS", "model_paths", "paths"]

TAG = "Open Inference Protocol"

SCHEMAS: Json = TENSOR_SCHEMAS | {
    "ServerMetadata": {
        "type": "object",
        "required": ["name", "version", "extensions"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": {"type": "array", "items": {"type": "string"}},
        },
    },
    "Live": {"type": "object", "required": ["live"], "properties": {"live": {"type": "boolean"}}},
    "Ready": {
        "type": "object",
        "required": ["ready", "live"],
        "properties": {
            "ready": {"type": "boolean"},
            "live": {"type": "boolean"},
            "error": {"type": "string"},
            "request_id": {"type": "string"},
        },
    },
    "ModelReady": {
        "type": "object",
        "required": ["name", "ready"],
        "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
    },
    "ModelMetadata": {
        "type": "object",
        "required": ["name", "versions", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": {"type": "array", "items": ref("TensorMetadata")},
            "outputs": {"type": "array", "items": ref("TensorMetadata")},
        },
    },
    "RequestedOutput": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "parameters": ref("Parameters")},
    },
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": "Echoed in the answer."},
            "parameters": ref("Parameters"),
            "inputs": {"type": "array", "items": ref("InputTensor")},
            "outputs": {"type": "array", "items": ref("RequestedOutput"), "description": "None: all."},
        },
    },
    "InferResponse": {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": ref("Parameters"),
            "outputs": {"type": "array", "items": ref("OutputTensor")},
        },
    },
}

_JSON_LENGTH: Json = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Of the JSON, in bytes, where binary tensors follow it; 0: the body is the only input's elements.",
    "schema": {"type": "integer", "minimum": 0},
}
_BINARY_CONTENT: Json = {"application/octet-stream": {"schema": BINARY}}
_ERRORS = (400, 404, 413, 415, 500, 501, 503, 504, 507)


def paths(_: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    open_to_all: Json = {"security": []}
    live = operation("server_live", TAG, "Is the server live?", answers(json_content(ref("Live"))), **open_to_all)
    ready_answers = answers(json_content(ref("Ready")), 503)
    ready_answers["503"]["content"] = json_content(ref("Ready"))
    ready = operation("server_ready", TAG, "Are all models ready?", ready_answers, **open_to_all)
    about = operation("server_metadata", TAG, "What is the server?", answers(json_content(ref("ServerMetadata"))))
    return {
        "/v2/health/live": {"get": live},
        "/v2/health/ready": {"get": ready},
        "/v2": {"get": about},
        **_generic("/v2/models/{model}", "", [MODEL]),
        **_generic("/v2/models/{model}/versions/{version}", "_version", [MODEL, VERSION]),
    }


def _generic(prefix: str, suffix: str, parameters: list[Json]) -> Json:
    errors = (404, 503, 507)
    metadata = answers(json_content(ref("ModelMetadata")), *errors)
    ready = answers(json_content(ref("ModelReady")), *errors)
    infer = operation(
        f"model_infer{suffix}",
        TAG,
        "Run a model on tensors, or on instances.",
        answers(json_content({"anyOf": [ref("InferResponse"), ref("PredictResponse")]}) | _BINARY_CONTENT, *_ERRORS),
        parameters=[_JSON_LENGTH],
        requestBody={
            "required": True,
            "content": json_content({"anyOf": [ref("InferRequest"), ref("PredictRequest")]}) | _BINARY_CONTENT,
        },
    )
    return {
        prefix: {
            "parameters": parameters,
            "get": operation(f"model_metadata{suffix}", TAG, "What does a model take and return?", metadata),
        },
        f"{prefix}/ready": {
            "parameters": parameters,
            "get": operation(f"model_ready{suffix}", TAG, "Is a model ready?", ready),
        },
        f"{prefix}/infer": {
            "parameters": parameters,
            "post": infer,
        },
    }


def model_paths(model: "LoadedModel", form: InstanceForm) -> Json:
    """Return the paths of one model, with its names, shapes and datatypes."""
    inputs, outputs = model.inputs, model.outputs
    named = {"type": "string", "enum": [spec.name for spec in outputs]}
    request: Json = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": ref("Parameters"),
            "inputs": {
                "type": "array",
                "minItems": len(inputs),
                "maxItems": len(inputs),
                "items": one_of([*map(input_schema, inputs)]),
            },
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": named, "parameters": ref("Parameters")},
                },
            },
        },
    }
    answer: Json = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string", "enum": [model.name]},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": ref("Parameters"),
            "outputs": {"type": "array", "items": one_of([*map(output_schema, outputs), ref("ClassesTensor")])},
        },
    }
    given, returned = form.given, form.returned
    if shown := example_tensors(model):
        given = {"inputs": shown[0]}
        returned = {"model_name": model.name, "model_version": model.version, "outputs": shown[1]}
    infer = operation(
        f"infer_{model.name}",
        model.name,
        "Run the model on tensors, or on instances.",
        answers(json_content({"anyOf": [answer, form.answer]}, returned) | _BINARY_CONTENT, *_ERRORS),
        parameters=[_JSON_LENGTH],
        requestBody={
            "required": True,
            "content": json_content({"anyOf": [request, form.request]}, given) | _BINARY_CONTENT | form.media,
        },
    )
    return {f"/v2/models/{model.name}/infer": {"post": infer}}
