"""Which of two things a body asks for, where a path takes both: predictions for instances, or inference on tensors."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.call import Call
from handlers.api.headers import header
from handlers.api.instances import FORM_TYPE, content_type, media_type, read_instances
from handlers.api.predict import predict
from handlers.api.service import Service
from handlers.api.statuses import json_response
from handlers.registry.loading import LoadedModel
from handlers.tasks.task import Task

__all__ = ["JSON_BYTES", "answer_predictions", "asks_for_predictions"]

JSON_BYTES = b"inference-header-content-length"
"""The header that says how long the JSON is, where binary tensors follow it."""


class _Members(msgspec.Struct):
    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Members)


def asks_for_predictions(request: Request, body: bytes, task: Task) -> bool:
    """Tell whether a body holds instances of the task: by its content type, or as JSON with `instances`.

    Anything else is for the Open Inference Protocol, which refuses what it cannot read.
    """
    if header(request, JSON_BYTES) is not None:
        return False
    media = media_type(request)
    if media in task.media_types or media == FORM_TYPE:
        return True
    if b'"instances"' not in body:  # tensors are not gone through twice
        return False
    try:
        members = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return members.instances is not msgspec.UNSET and members.inputs is msgspec.UNSET


async def answer_predictions(request: Request, service: Service, model: LoadedModel, body: bytes) -> Response:
    """Return the answer to a body that holds instances, whatever path it came by.

    Raises:
        LambdaserveError: As `read_instances` and `predict` do.
    """

    def answer(call: Call) -> list[object]:
        return predict(call, read_instances(content_type(request), body, model.task, call.transfer))

    return json_response({"predictions": await service.call(model, answer, len(body))})
