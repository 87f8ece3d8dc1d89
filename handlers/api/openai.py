"""OpenAI's way to ask for embeddings and for what models there are.

Reference: https://platform.openai.com/docs/api-reference/embeddings and .../models. Two paths are KServe's too: their
answers hold what either kind of client looks for. Refusals have OpenAI's form on all of these paths.
"""

import base64
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.call import Call
from handlers.api.names import V1_MODEL
from handlers.api.predict import Instances, predict
from handlers.api.service import service_of
from handlers.api.statuses import json_response, status_of
from handlers.errors import InvalidInput, InvalidName, LambdaserveError, ModelNotFound, ModelNotReady
from handlers.registry.loading import LoadedModel
from handlers.tasks.definitions import EmbeddingTask, task_kind
from handlers.telemetry import request_id

__all__ = ["routes"]

Endpoint = Callable[[Request], Awaitable[Response]]

_MEMBERS = ("input", "model", "encoding_format", "dimensions", "user")
_MOST_DIMENSIONS = 2**31  # integers of thousands of digits can be read, but not printed
_FAULT = 500


class _BadBody(InvalidInput):
    """The body is no JSON object: no member of it is to blame."""


class _BadMember(InvalidInput):
    """A member of the body makes no sense; `member` says which."""

    def __init__(self, *, member: str, found: str) -> None:
        super().__init__(f"{member}: {found}")
        self.member = member


@dataclass(frozen=True)
class _Asked:
    inputs: list[object]
    model: str
    as_base64: bool
    dimensions: int | None


def _refusing(endpoint: Endpoint) -> Endpoint:
    """Answer errors as OpenAI does."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except LambdaserveError as error:
            return _refusal(error)

    return answer


@_refusing
async def _embeddings(request: Request) -> Response:
    service = service_of(request)
    body = await read_body(request, service.max_body_bytes)
    asked = _read(body)
    model = await service.model(request.scope, asked.model, None)

    def answer(call: Call) -> dict[str, object]:
        _check_model(call.model, asked)
        vectors = predict(call, Instances(asked.inputs, {}))
        data = [
            {"object": "embedding", "index": index, "embedding": _encode(vector) if asked.as_base64 else vector}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": call.tokens, "total_tokens": call.tokens}
        return {"object": "list", "data": data, "model": call.model.name, "usage": usage}

    return json_response(await service.call(model, answer, len(body)))


@_refusing
async def _models(request: Request) -> Response:
    models = service_of(request).models
    names = models.names
    described = [_describe(name, models.find(name)) for name in names]
    return json_response({"object": "list", "data": described, "models": names})


@_refusing
async def _model(request: Request) -> Response:
    model = await service_of(request).model(request.scope, request.path_params["model"], None)
    return json_response({"name": model.name, "ready": True, **_describe(model.name, model)})


def _describe(name: str, model: LoadedModel | None) -> dict[str, object]:
    """Return a model as OpenAI has it; when it was created is known of those that are loaded."""
    built = datetime.fromisoformat(model.manifest.provenance.created_at) if model else None
    created = int(built.timestamp()) if built else 0
    return {"id": name, "object": "model", "created": created, "owned_by": "lambdaserve"}


def _refusal(error: LambdaserveError) -> Response:
    status = status_of(error)
    member: str | None = None
    if isinstance(error, _BadMember):
        member = error.member
    elif isinstance(error, (ModelNotFound, ModelNotReady, InvalidName)):
        member = "model"
    elif isinstance(error, InvalidInput) and not isinstance(error, _BadBody):  # the task's, of an instance
        member = "input"
    described = {
        "message": str(error),
        "type": "server_error" if status >= _FAULT else "invalid_request_error",
        "param": member,
        "code": error.code,
    }
    return json_response({"error": described, "request_id": request_id.get()}, status)


def _read(body: bytes) -> _Asked:
    try:
        members = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = "nested too deep" if isinstance(error, RecursionError) else str(error)
        msg = f"body: {found}, expected a JSON object with `input` and `model`"
        raise _BadBody(msg) from error
    for unknown in members.keys() - set(_MEMBERS):
        raise _BadMember(member=unknown[:80], found=f"unknown, expected some of: {', '.join(_MEMBERS)}")
    if not isinstance(members.get("model"), str):
        raise _BadMember(member="model", found=f"{_kind(members, 'model')}, expected the name of a model")
    encoding = "float" if members.get("encoding_format") is None else members["encoding_format"]
    if not isinstance(encoding, str) or encoding not in {"float", "base64"}:
        found = repr(encoding[:20]) if isinstance(encoding, str) else _kind(members, "encoding_format")
        raise _BadMember(member="encoding_format", found=f"{found}, expected float or base64")
    dimensions = members.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or not 0 < dimensions < _MOST_DIMENSIONS):
        raise _BadMember(member="dimensions", found=f"{_kind(members, 'dimensions')}, expected a positive integer")
    return _Asked(_inputs(members), members["model"], encoding == "base64", dimensions)


def _inputs(members: dict[str, Any]) -> list[object]:
    value = members.get("input")
    if isinstance(value, str) or (isinstance(value, list) and value and all(type(token) is int for token in value)):
        value = [value]
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else _kind(members, "input")
        raise _BadMember(member="input", found=f"{found}, expected a string, token ids, or a list of either")
    kind = type(value[0])
    if kind not in {str, list} or any(type(entry) is not kind for entry in value):
        found = ", ".join(sorted({type(entry).__name__ for entry in value}))
        raise _BadMember(
            member="input", found=f"a list of {found}, expected one of strings, of token ids, or of lists of token ids"
        )
    if "" in value or [] in value:
        found = "an empty string" if kind is str else "an empty list"
        raise _BadMember(member="input", found=f"{found} at {value.index(kind())}, expected none")
    return list(value)


def _kind(members: dict[str, Any], member: str) -> str:
    return type(members[member]).__name__ if member in members else "not there"


def _check_model(model: LoadedModel, asked: _Asked) -> None:
    task = model.manifest.task
    if not isinstance(task, EmbeddingTask):
        raise _BadMember(
            member="model", found=f"{model.name!r} is of the task {task_kind(task)}, expected one that embeds"
        )
    dimensions = next(spec.shape[-1] for spec in model.manifest.outputs if spec.name == task.output)
    if asked.dimensions not in {None, dimensions}:
        raise _BadMember(
            member="dimensions", found=f"{asked.dimensions}, expected none, or the model's own {dimensions}"
        )


def _encode(vector: object) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


routes = [
    Route("/v1/models", _models),
    Route(V1_MODEL, _model),
    Route("/v1/embeddings", _embeddings, methods=["POST"]),
]
