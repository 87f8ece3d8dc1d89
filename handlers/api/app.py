"""The web application: the same one on Lambda and in `lambdaserve serve`."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from handlers import __version__
from handlers.api import kserve, oip, openai, payloads, sagemaker
from handlers.api.service import Service
from handlers.api.statuses import error_response, status_of
from handlers.errors import LambdaserveError
from handlers.telemetry import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["create_app"]


def create_app(service: Service) -> FastAPI:
    """Return the application that answers for the models of `service`."""
    # pages about the API are made from the loaded models, not from Python signatures; a redirect would lose the stage
    # that API Gateway puts before the path
    app = FastAPI(title="lambdaserve", version=__version__, openapi_url=None, redirect_slashes=False)
    app.state.service = service
    routes = [*oip.routes, *kserve.routes, *openai.routes, *sagemaker.routes, *payloads.routes]
    app.router.routes.extend(routes)
    app.add_exception_handler(LambdaserveError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_middleware(_Boundary, service=service)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, LambdaserveError)  # noqa: S101 - Starlette's handlers are typed for any Exception
    return error_response(status_of(error), str(error))


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    found = f"{request.method} {request.scope['path'][:200]}"
    expected = "a path that docs/service.md lists" if error.status_code == _NOT_FOUND else "another method"
    return error_response(error.status_code, f"{found}: {error.detail}, expected {expected}", dict(error.headers or {}))


_NOT_FOUND = 404


@dataclass
class _Boundary:
    """ASGI middleware: names the request for everything inside, and answers for faults that nothing inside expected."""

    app: "ASGIApp"
    service: Service

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = request_id.set(_request_id(scope))
        started = False

        async def watch(message: "Message") -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:  # the last line of defence: no traceback reaches the client
            self.service.telemetry.crashed(error)
            if started:
                raise
            await error_response(500, "internal error: the log has it under this request's id")(scope, receive, send)
        finally:
            request_id.reset(token)


def _request_id(scope: "Scope") -> str:
    """Return Lambda's request id, which Mangum hands on in its context; outside of Lambda, make one up."""
    context = scope.get("aws.context")
    return getattr(context, "aws_request_id", None) or str(uuid.uuid4())
