"""The paths of two extensions of the Open Inference Protocol: the model repository and statistics."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.oip import TAG
from handlers.api.openapi.operations import MODEL, VERSION, Json, answers, json_content, operation, ref

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel

__all__ = ["SCHEMAS", "paths"]

_DURATION: Json = {
    "type": "object",
    "required": ["count", "ns"],
    "properties": {"count": {"type": "integer"}, "ns": {"type": "integer"}},
}
_PHASES = (
    *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"),
    *("cache_hit", "cache_miss"),
)

SCHEMAS: Json = {
    "Statistics": {
        "type": "object",
        "required": ["model_stats"],
        "properties": {
            "scope": {"type": "string", "description": "Whose calls are counted."},
            "model_stats": {"type": "array", "items": ref("ModelStatistics")},
        },
    },
    "ModelStatistics": {
        "type": "object",
        "required": ["name", "version", "last_inference", "inference_count", "execution_count", "inference_stats"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "last_inference": {"type": "integer", "description": "Milliseconds since 1970; 0: never."},
            "inference_count": {"type": "integer", "description": "Samples."},
            "execution_count": {"type": "integer", "description": "Runs of the model."},
            "inference_stats": {
                "type": "object",
                "required": [*_PHASES],
                "properties": dict.fromkeys(_PHASES, _DURATION),
            },
            "batch_stats": {"type": "array", "items": {"type": "object"}},
        },
    },
    "RepositoryEntry": {
        "type": "object",
        "required": ["name", "state", "reason"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "state": {"type": "string"},
            "reason": {"type": "string"},
        },
    },
}


def paths(_: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    statistics = answers(json_content(ref("Statistics")), 404, 503, 507)
    index = answers(json_content({"type": "array", "items": ref("RepositoryEntry")}), 400, 413, 415, 503)
    asked = {"type": "object", "properties": {"ready": {"type": "boolean", "description": "Only those that are."}}}
    changed = answers(json_content({"type": "object"}), 400, 404, 413, 415, 501, 503, 507)
    given = {"type": "object", "properties": {"parameters": ref("Parameters")}}
    change = {"content": json_content(given)}
    return {
        "/v2/models/stats": {"get": operation("stats", TAG, "What was asked of all models?", statistics)},
        "/v2/models/{model}/stats": {
            "parameters": [MODEL],
            "get": operation("model_stats", TAG, "What was asked of a model?", statistics),
        },
        "/v2/models/{model}/versions/{version}/stats": {
            "parameters": [MODEL, VERSION],
            "get": operation("model_stats_version", TAG, "What was asked of a model?", statistics),
        },
        "/v2/repository/index": {
            "post": operation(
                "repository_index", TAG, "Which models are there?", index, requestBody={"content": json_content(asked)}
            ),
        },
        "/v2/repository/models/{model}/load": {
            "parameters": [MODEL],
            "post": operation("model_load", TAG, "Load a model; not on Lambda.", changed, requestBody=change),
        },
        "/v2/repository/models/{model}/unload": {
            "parameters": [MODEL],
            "post": operation("model_unload", TAG, "Unload a model; not on Lambda.", changed, requestBody=change),
        },
    }
