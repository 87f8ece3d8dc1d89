"""The Open Inference Protocol (v2) over REST.

Specification: kserve/open-inference-protocol, specification/protocol/inference_rest.md. The routes are plain Starlette
routes: FastAPI's own added 30 us to a call when it was tried, and check nothing that is not checked here.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers import __version__
from handlers.api.bodies import read_body
from handlers.api.inference import infer
from handlers.api.service import service_of
from handlers.api.statuses import json_response
from handlers.errors import ModelNotReady
from handlers.registry.loading import LoadedModel
from handlers.telemetry import request_id

__all__ = ["routes"]


async def _live(_: Request) -> Response:
    return json_response({"live": True})


async def _ready(request: Request) -> Response:
    try:
        await service_of(request).await_all(request.scope)
    except ModelNotReady as error:
        refusal = {"ready": False, "live": True, "error": str(error), "request_id": request_id.get()}
        return json_response(refusal, 503)
    return json_response({"ready": True, "live": True})


async def _server_metadata(_: Request) -> Response:
    return json_response({"name": "lambdaserve", "version": __version__, "extensions": []})


async def _model_metadata(request: Request) -> Response:
    model = await _model(request)
    return json_response(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": "onnx_onnxv1",
            "inputs": model.inputs,
            "outputs": model.outputs,
        }
    )


async def _model_ready(request: Request) -> Response:
    model = await _model(request)
    return json_response({"name": model.name, "ready": True})


async def _infer(request: Request) -> Response:
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    model = await _model(request)
    answer = await service.call(model, lambda call: infer(call, body))
    return Response(answer, media_type="application/json")


async def _model(request: Request) -> LoadedModel:
    names = request.path_params
    return await service_of(request).model(request.scope, names["model"], names.get("version"))


def _model_routes(prefix: str) -> list[Route]:
    return [
        Route(prefix, _model_metadata),
        Route(f"{prefix}/ready", _model_ready),
        Route(f"{prefix}/infer", _infer, methods=["POST"]),
    ]


routes = [
    Route("/v2/health/live", _live),
    Route("/v2/health/ready", _ready),
    Route("/v2", _server_metadata),
    Route("/v2/", _server_metadata),
    *_model_routes("/v2/models/{model}"),
    *_model_routes("/v2/models/{model}/versions/{version}"),
]
