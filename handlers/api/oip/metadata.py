"""Health, and what the server and its models say of themselves."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers import __version__
from handlers.api.oip.classification import labels_of
from handlers.api.service import model_of, service_of
from handlers.api.statuses import json_response
from handlers.errors import ModelNotReady
from handlers.registry.loading import LoadedModel
from handlers.registry.manifest import TensorSpec
from handlers.tasks.definitions import task_kind
from handlers.telemetry import request_id

__all__ = ["routes"]

_EXTENSIONS = ("binary_tensor_data", "classification", "statistics")
_MANAGED = "model_repository"
"""Named only where models can be loaded and unloaded; the index of the repository is answered everywhere."""


async def _live(_: Request) -> Response:
    return json_response({"live": True})


async def _ready(request: Request) -> Response:
    try:
        await service_of(request).await_all(request.scope)
    except ModelNotReady as error:
        refusal = {"ready": False, "live": True, "error": str(error), "request_id": request_id.get()}
        return json_response(refusal, 503)
    return json_response({"ready": True, "live": True})


async def _server_metadata(request: Request) -> Response:
    extensions = [*_EXTENSIONS, *([_MANAGED] if service_of(request).managed else [])]
    return json_response({"name": "lambdaserve", "version": __version__, "extensions": sorted(extensions)})


async def _model_metadata(request: Request) -> Response:
    model = await model_of(request)
    manifest = model.manifest
    return json_response(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": "onnx_onnxv1",
            "inputs": model.inputs,
            "outputs": [_described(model, spec) for spec in model.outputs],
            "properties": {"task": task_kind(manifest.task), "variant": model.variant.name},
        }
    )


def _described(model: LoadedModel, spec: TensorSpec) -> dict[str, Any]:
    labels = labels_of(model.manifest, spec.name)
    described = {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
    return described | ({"parameters": {"labels": labels}} if labels else {})


async def _model_ready(request: Request) -> Response:
    model = await model_of(request)
    return json_response({"name": model.name, "ready": True})


routes = [
    Route("/v2/health/live", _live),
    Route("/v2/health/ready", _ready),
    Route("/v2", _server_metadata),
    Route("/v2/", _server_metadata),
    Route("/v2/models/{model}", _model_metadata),
    Route("/v2/models/{model}/ready", _model_ready),
    Route("/v2/models/{model}/versions/{version}", _model_metadata),
    Route("/v2/models/{model}/versions/{version}/ready", _model_ready),
]
