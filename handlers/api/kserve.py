"""The V1 protocol of KServe: instances in, predictions out, in the form of the model's task.

Its other paths, `/v1/models` and `/v1/models/{model}`, are OpenAI's too: handlers.api.openai answers both.
Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.names import V1_MODEL
from handlers.api.predictions import answer_predictions
from handlers.api.service import service_of

__all__ = ["routes"]


async def _predict(request: Request) -> Response:
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    model = await service.model(request.scope, request.path_params["model"], None)
    return await answer_predictions(request, service, model, body)


routes = [Route(f"{V1_MODEL}:predict", _predict, methods=["POST"])]
