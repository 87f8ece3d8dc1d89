"""The paths of OpenAI's protocol: embeddings, and the list of models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.operations import Json, answers, json_content, operation, ref

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel

__all__ = ["SCHEMAS", "TAG", "paths"]

TAG = "OpenAI"
_TOKENS: Json = {"type": "array", "minItems": 1, "items": {"type": "integer"}}
_ERRORS = (400, 404, 413, 415, 500, 503, 504, 507)

SCHEMAS: Json = {
    "OpenAIError": {
        "type": "object",
        "required": ["error", "request_id"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": {"type": "string", "nullable": True},
                    "code": {"type": "string"},
                },
            },
            "request_id": {"type": "string"},
        },
    },
    "ModelsError": {
        "description": "On the path that both protocols have.",
        "anyOf": [ref("Error"), ref("OpenAIError")],
    },
    "OpenAIModels": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "object", "created", "owned_by"],
                    "properties": {
                        "id": {"type": "string"},
                        "object": {"type": "string", "enum": ["model"]},
                        "created": {"type": "integer"},
                        "owned_by": {"type": "string"},
                    },
                },
            },
            "models": {"type": "array", "items": {"type": "string"}, "description": "As KServe V1 has it."},
        },
    },
    "EmbeddingsRequest": {
        "type": "object",
        "required": ["input", "model"],
        "additionalProperties": False,
        "properties": {
            "input": {
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                    _TOKENS,
                    {"type": "array", "minItems": 1, "items": _TOKENS},
                ]
            },
            "model": {"type": "string"},
            "encoding_format": {"type": "string", "enum": ["float", "base64"]},
            "dimensions": {"type": "integer", "minimum": 1},
            "user": {"type": "string"},
        },
    },
    "EmbeddingsResponse": {
        "type": "object",
        "required": ["object", "data", "model", "usage"],
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["object", "index", "embedding"],
                    "properties": {
                        "object": {"type": "string", "enum": ["embedding"]},
                        "index": {"type": "integer"},
                        "embedding": {
                            "anyOf": [
                                {"type": "array", "items": {"type": "number"}},
                                {"type": "string", "description": "Little-endian float32 in base64."},
                            ]
                        },
                    },
                },
            },
            "model": {"type": "string"},
            "usage": {
                "type": "object",
                "required": ["prompt_tokens", "total_tokens"],
                "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
            },
        },
    },
}


def paths(models: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served, with an example if a model is here that embeds."""
    example = next(
        ({"input": model.embeds, "model": model.name} for model in models if model.embeds is not None),
        None,
    )
    body = {"required": True, "content": json_content(ref("EmbeddingsRequest"), example)}
    listed = answers(json_content(ref("OpenAIModels")), 503, error="OpenAIError")
    embedded = answers(json_content(ref("EmbeddingsResponse")), *_ERRORS, error="OpenAIError")
    return {
        "/v1/models": {"get": operation("v1_models", TAG, "Which models are loaded?", listed)},
        "/v1/embeddings": {"post": operation("v1_embeddings", TAG, "Embed texts.", embedded, requestBody=body)},
    }
