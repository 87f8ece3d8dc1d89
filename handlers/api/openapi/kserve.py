"""The paths of KServe's V1 protocol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.instances import InstanceForm
from handlers.api.openapi.operations import BINARY, MODEL, Json, answers, json_content, operation, ref

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel
    from handlers.registry.loading import LoadedModel

__all__ = ["SCHEMAS", "model_paths", "paths"]

TAG = "KServe V1"
_ERRORS = (400, 404, 413, 415, 500, 503, 504, 507)

SCHEMAS: Json = {
    "PredictRequest": {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "minItems": 1, "items": {}},
            "parameters": {"type": "object", "description": "Options of the model's task."},
        },
    },
    "PredictResponse": {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": {}}},
    },
}


def paths(_: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    ready = answers(json_content(ref("ModelReady")), 404, 503, 507, error="ModelsError")
    prediction = answers(json_content(ref("PredictResponse")), *_ERRORS)
    body = {"required": True, "content": json_content(ref("PredictRequest"))}
    return {
        "/v1/models/{model}": {
            "parameters": [MODEL],
            "get": operation("v1_model_ready", TAG, "Is a model ready?", ready),
        },
        "/v1/models/{model}:predict": {
            "parameters": [MODEL],
            "post": operation("v1_model_predict", TAG, "Predict for instances.", prediction, requestBody=body),
        },
    }


def model_paths(model: "LoadedModel", form: InstanceForm) -> Json:
    """Return the paths of one model, in the form of its task."""
    described = operation(
        f"predict_{model.name}",
        model.name,
        "Predict for instances.",
        answers(json_content(form.answer, form.returned), *_ERRORS),
        requestBody={"required": True, "content": json_content(form.request, form.given) | form.media | _forms(form)},
    )
    return {f"/v1/models/{model.name}:predict": {"post": described}}


def _forms(form: InstanceForm) -> Json:
    """Return the content of a form with files, which browsers send, where the task takes images."""
    if not any(media.startswith("image/") for media in form.media):
        return {}
    parts = {"file": {"type": "array", "items": BINARY}, "parameters": form.request["properties"]["parameters"]}
    return {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": parts}}}
