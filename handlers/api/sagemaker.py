"""The contract of SageMaker's containers, so that what calls an endpoint there can call this service.

Specification: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.headers import header
from handlers.api.instances import JSON_TYPES, media_type
from handlers.api.oip.inference import answer_tensors
from handlers.api.predictions import answer_predictions, asks_for_predictions
from handlers.api.service import service_of
from handlers.api.statuses import json_response
from handlers.errors import InvalidInput
from handlers.tasks.tensor import show_names

__all__ = ["routes"]

_TARGET = "X-Amzn-SageMaker-Target-Model"
_TENSOR_TYPES = (*JSON_TYPES, "application/octet-stream")


async def _ping(request: Request) -> Response:
    await service_of(request).await_all(request.scope)
    return json_response({})


async def _invoke(request: Request) -> Response:
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    name = header(request, _TARGET.lower().encode()) or await _only_model(request)
    model = await service.model(request.scope, name, None)
    if asks_for_predictions(request, body, model.task) or media_type(request) not in _TENSOR_TYPES:
        return await answer_predictions(request, service, model, body)
    return await answer_tensors(request, service, model, body)


async def _only_model(request: Request) -> str:
    service = service_of(request)
    await service.await_all(request.scope)
    names = service.models.names
    if len(names) != 1:
        msg = f"header {_TARGET}: nothing, expected one of the models {show_names(names)}"
        raise InvalidInput(msg)
    return names[0]


routes = [Route("/ping", _ping), Route("/invocations", _invoke, methods=["POST"])]
