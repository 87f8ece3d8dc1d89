"""The V1 protocol of KServe: instances in, predictions out, in the form of the model's task.

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.call import Call
from handlers.api.instances import media_type, read_instances
from handlers.api.predict import predict
from handlers.api.service import service_of
from handlers.api.statuses import json_response

__all__ = ["routes"]


async def _predict(request: Request) -> Response:
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    model = await service.model(request.scope, request.path_params["model"], None)

    def answer(call: Call) -> list[object]:
        return predict(call, read_instances(media_type(request), body, model.task))

    return json_response({"predictions": await service.call(model, answer)})


async def _ready(request: Request) -> Response:
    model = await service_of(request).model(request.scope, request.path_params["model"], None)
    return json_response({"name": model.name, "ready": True})


routes = [
    Route("/v1/models/{model}", _ready),
    Route("/v1/models/{model}:predict", _predict, methods=["POST"]),
]
