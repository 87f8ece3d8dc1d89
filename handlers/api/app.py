"""The web application: the same one on Lambda and in `lambdaserve serve`."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from handlers import __version__
from handlers.api import kserve, oip
from handlers.api.answers import AnswerLimit
from handlers.api.service import Service
from handlers.api.statuses import error_response, status_of
from handlers.api.visit import Visit
from handlers.errors import AnswerTooLarge, LambdaserveError
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
    app.router.routes.extend([*oip.routes, *kserve.routes])
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
        try:
            with Visit(scope) as visit:
                answer = _Answer(visit, self.service.answer_limit, send)
                try:
                    await self.app(scope, receive, answer.send)
                except Exception as error:  # the last line of defence: no traceback reaches the client
                    self.service.telemetry.crashed(error)
                    if answer.started:
                        raise
                    crash = error_response(500, "internal error: the log has it under this request's id")
                    await crash(scope, receive, send)
        finally:
            request_id.reset(token)


class _Answer:
    """An answer on its way out: given the times of its phases, and held back until it is known to be small enough."""

    def __init__(self, visit: Visit, limit: AnswerLimit, send: "Send") -> None:
        self.started = False
        """Whether the client has got something."""
        self._visit = visit
        self._limit = limit
        self._send = send
        self._start: Message = {}
        self._body: list[bytes] = []

    async def send(self, message: "Message") -> None:
        """Take the application's next message."""
        if message["type"] == "http.response.start":
            if phases := self._visit.clock.header:
                message["headers"] = [*message.get("headers", []), (b"server-timing", phases.encode())]
            self._start = message
        if self._limit.max_bytes is None:
            self.started = True
            await self._send(message)
        elif message["type"] != "http.response.start":  # whole: Lambda hands on nothing before it has all
            self._body.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_whole(b"".join(self._body))

    async def _send_whole(self, body: bytes) -> None:
        headers = dict(self._start.get("headers", []))
        media_type = headers.get(b"content-type", b"").decode("latin-1")
        try:
            self._limit.check(media_type, body, compressed=b"content-encoding" in headers)
        except AnswerTooLarge as error:
            refusal = error_response(status_of(error), str(error))
            self._start = {"type": "http.response.start", "status": refusal.status_code, "headers": refusal.raw_headers}
            body = bytes(refusal.body)
        self.started = True
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _request_id(scope: "Scope") -> str:
    """Return Lambda's request id, which Mangum hands on in its context; outside of Lambda, make one up."""
    context = scope.get("aws.context")
    return getattr(context, "aws_request_id", None) or str(uuid.uuid4())
