"""What a model takes and answers in the form of its task, on whatever path."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handlers.api.call import Call
from handlers.api.openapi.operations import BINARY, Json
from handlers.api.predict import Instances, predict
from handlers.errors import LambdaserveError

if TYPE_CHECKING:
    from handlers.registry.loading import LoadedModel

__all__ = ["InstanceForm", "describe_instances"]


@dataclass(frozen=True)
class InstanceForm:
    """Schemas of request and answer, contents of other media types than JSON, and an example where there is one."""

    request: Json
    answer: Json
    media: Json
    given: Json | None = None
    returned: Json | None = None


def describe_instances(model: "LoadedModel") -> InstanceForm:
    """Return the form of a model, which is run once for the answer to its task's example."""
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
    media = {kind: {"schema": BINARY} for kind in task.media_types}
    instances = [task.example]
    try:
        predictions = predict(Call(model), Instances(instances, {}))
    except LambdaserveError:  # an axis of variable length that one step is too short for
        return InstanceForm(request, answer, media)
    return InstanceForm(request, answer, media, {"instances": instances}, {"predictions": predictions})
