"""The model repository extension: what there is to be served, and in the embedded server, loading and unloading it.

Specification: triton-inference-server/server, docs/protocol/extension_model_repository.md.
"""

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.service import service_of
from handlers.api.statuses import json_response
from handlers.errors import InvalidInput, NotSupported

__all__ = ["routes"]

T = TypeVar("T")


class _IndexRequest(msgspec.Struct):
    ready: bool = False


class _ModelRequest(msgspec.Struct):
    parameters: dict[str, bool | int | float | str] | None = None


class _Entry(msgspec.Struct, omit_defaults=True):
    name: str
    state: str
    reason: str
    version: str | None = None


_index_decoder = msgspec.json.Decoder(_IndexRequest)
_model_decoder = msgspec.json.Decoder(_ModelRequest)


async def _index(request: Request) -> Response:
    asked = await _read(request, _index_decoder)
    entries = [
        _Entry(model.name, model.state, model.reason, model.version)
        for model in service_of(request).models.index()
        if model.state == "READY" or not asked.ready
    ]
    return json_response(entries)


async def _load(request: Request) -> Response:
    service = service_of(request)
    service.check_managed()
    asked = await _read(request, _model_decoder)
    overriding = [name for name in asked.parameters or {} if name == "config" or name.startswith("file:")]
    if overriding:
        msg = f"load: parameter {overriding[0][:80]!r}, expected none: versions do not change; publish another"
        raise NotSupported(msg)
    await service.load(request.scope, request.path_params["model"])
    return json_response({})


async def _unload(request: Request) -> Response:
    service = service_of(request)
    service.check_managed()
    await _read(request, _model_decoder)
    await service.unload(request.path_params["model"])
    return json_response({})


async def _read(request: Request, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return what the body says; one that is empty says nothing, which is allowed."""
    body = await read_body(request, service_of(request).max_body_bytes)
    try:
        return decoder.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "nested too deep" if isinstance(error, RecursionError) else str(error)
        msg = f"body: {found}, expected a JSON object as the model repository extension has it"
        raise InvalidInput(msg) from error


routes = [
    Route("/v2/repository/index", _index, methods=["POST"]),
    Route("/v2/repository/models/{model}/load", _load, methods=["POST"]),
    Route("/v2/repository/models/{model}/unload", _unload, methods=["POST"]),
]
