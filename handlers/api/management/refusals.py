"""Refusals in one form, `{"error", "code", "request_id"}`, whichever part of the application refuses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from handlers.api.management.answers import Refusal
from handlers.api.statuses import error_response, refusal
from handlers.errors import InvalidInput, LambdaserveError

__all__ = ["REFUSALS", "add_refusals"]

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "A name, a value or a document that makes no sense here"},
    403: {"model": Refusal, "description": "Nobody has signed the request"},
    404: {"model": Refusal, "description": "No such model, alias or version"},
    409: {"model": Refusal, "description": "Not as things stand; `code` says why"},
    412: {"model": Refusal, "description": "The aliases are not those that If-Match names"},
    413: {"model": Refusal, "description": "The body is too large"},
    415: {"model": Refusal, "description": "The body has a Content-Encoding that is not read here"},
    501: {"model": Refusal, "description": "Uploads need a store in S3"},
    503: {"model": Refusal, "description": "The store could not be asked; with the same Idempotency-Key, try again"},
}
"""What routes that change something may answer."""

_NO_JSON = "body: no JSON, expected an object in JSON"
_SHOWN = 80  # characters of what was found


def add_refusals(app: FastAPI) -> None:
    """Let the application answer in this form."""
    app.add_exception_handler(LambdaserveError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(RequestValidationError, _refuse_input)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, LambdaserveError)  # noqa: S101 - what it is registered for
    return refusal(error, error.code)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.BAD_REQUEST:  # FastAPI's, of a body that is no text, or that no parser gets to the end of
        return refusal(InvalidInput(_NO_JSON), InvalidInput.code)
    message = f"{request.method} on this path: {status.phrase}, expected one of the routes in /openapi.json"
    return error_response(status, message, dict(error.headers or {}), status.name.lower())


async def _refuse_input(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    found = InvalidInput("; ".join(map(_describe, error.errors())))
    return refusal(found, found.code)


def _describe(problem: Mapping[str, Any]) -> str:
    """Say one of pydantic's problems as this house says problems."""
    where, *path = problem["loc"]
    subject = ".".join(map(str, path)) or where
    kind, said = problem["type"], problem["msg"]
    if kind == "json_invalid":
        return _NO_JSON
    if kind == "missing":
        return f"{subject}: nothing, expected a value"
    if kind == "extra_forbidden":
        return f"{subject[:_SHOWN]}: not known here, expected no such member"
    found = repr(problem["input"])
    shown = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
    return f"{subject}: {shown}, expected {said[:1].lower()}{said[1:]}".replace("expected input should be", "expected")
