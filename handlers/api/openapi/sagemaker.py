"""The paths of SageMaker's containers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.operations import BINARY, Json, answers, json_content, operation

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel

__all__ = ["TAG", "paths"]

TAG = "SageMaker"
_ERRORS = (400, 404, 413, 415, 500, 501, 503, 504, 507)
_TARGET: Json = {
    "name": "X-Amzn-SageMaker-Target-Model",
    "in": "header",
    "description": "The model's name; needed where several are served.",
    "schema": {"type": "string"},
}


def paths(models: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    media = sorted({kind for model in models for kind in model.media_types})
    asked = {
        "type": "object",
        "description": "As `infer` of the Open Inference Protocol takes it, or with `instances` as KServe V1.",
    }
    content = json_content(asked) | {kind: {"schema": BINARY} for kind in media}
    answered = json_content({"type": "object"}) | {"application/octet-stream": {"schema": BINARY}}
    invoked = operation(
        "invocations",
        TAG,
        "Run or ask a model.",
        answers(answered, *_ERRORS),
        parameters=[_TARGET],
        requestBody={"required": True, "content": content},
    )
    ping = operation("ping", TAG, "Are all models ready?", answers(json_content({"type": "object"}), 503))
    return {"/ping": {"get": ping}, "/invocations": {"post": invoked}}
