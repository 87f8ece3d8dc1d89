"""The paths of KServe's V1 protocol."""

from typing import TYPE_CHECKING

from handlers.api.call import Call
from handlers.api.openapi.operations import MODEL, Json, answers, json_content, operation, ref
from handlers.api.predict import Instances, predict
from handlers.errors import LambdaserveError

if TYPE_CHECKING:
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


def paths() -> Json:
    """Return the paths that are there whatever is served."""
    ready = answers(json_content(ref("ModelReady")), 404, 503, 507)
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


def model_paths(model: "LoadedModel") -> Json:
    """Return the paths of one model, in the form of its task."""
    task = model.task
    request: Json = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "minItems": 1, "items": task.instance_schema},
            "parameters": task.options_schema,
        },
    }
    answer: Json = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": task.prediction_schema}},
    }
    given, returned = _example(model)
    content = json_content(request, given) | {
        media: {"schema": {"type": "string", "format": "binary"}} for media in task.media_types
    }
    described = operation(
        f"predict_{model.name}",
        model.name,
        "Predict for instances.",
        answers(json_content(answer, returned), *_ERRORS),
        requestBody={"required": True, "content": content},
    )
    return {f"/v1/models/{model.name}:predict": {"post": described}}


def _example(model: "LoadedModel") -> tuple[Json, Json] | tuple[None, None]:
    """Return a request and its answer, None where the model does not answer the example of its task."""
    instances = [model.task.example]
    try:
        predictions = predict(Call(model), Instances(instances, {}))
    except LambdaserveError:  # an axis of variable length that one step is too short for
        return None, None
    return {"instances": instances}, {"predictions": predictions}
