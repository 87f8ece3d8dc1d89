"""The outermost layer of the management application: who asks, how much, and answers for faults nobody expected."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from handlers.api.bodies import read_body
from handlers.api.management.caller import find_caller
from handlers.api.management.telemetry import ManagementTelemetry
from handlers.api.mount import mount
from handlers.api.statuses import error_response, refusal
from handlers.errors import LambdaserveError
from handlers.telemetry import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Boundary"]


@dataclass
class Boundary:
    """ASGI middleware: names each request and its caller, bounds its body, and counts it."""

    app: "ASGIApp"
    telemetry: ManagementTelemetry
    max_body_bytes: int
    base_path: str

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle a request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = request_id.set(_request_id(scope))
        state = scope.setdefault("state", {})
        answer = _Answer(state, send)
        try:
            await self._answer(scope, receive, answer)
        finally:
            self.telemetry.called(answer.status)
            request_id.reset(token)

    async def _answer(self, scope: "Scope", receive: "Receive", answer: "_Answer") -> None:
        try:
            mount(scope, self.base_path)
            # first of all, whatever the path: where API Gateway was set up so that it lets everybody in, nobody gets in
            scope["state"]["caller"] = find_caller(scope.get("aws.event"))
            body = await read_body(Request(scope, receive), self.max_body_bytes)
            await self.app(scope, _Replay(body, receive), answer)
        except LambdaserveError as error:
            await refusal(error, error.code)(scope, receive, answer)
        except Exception as error:  # the last line of defence: no traceback reaches the client
            self.telemetry.crashed(error)
            if answer.started:
                raise
            msg = "internal error: the log has it under this request's id"
            await error_response(500, msg, code="internal_error")(scope, receive, answer)


@dataclass
class _Answer:
    """An answer on its way out. `state` is the request's: it may know the id of an operation."""

    state: dict[str, Any]
    send_on: "Send"
    status: int = 500
    started: bool = False

    async def __call__(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self.status, self.started = message["status"], True
            headers = MutableHeaders(raw=message["headers"])
            headers["Cache-Control"] = "no-store"
            if operation_id := self.state.get("operation_id"):
                headers["Idempotency-Key"] = operation_id
        await self.send_on(message)


@dataclass
class _Replay:
    """Hands on a body that was read already, and then whatever comes."""

    body: bytes | None
    receive: "Receive"

    async def __call__(self) -> "Message":
        if self.body is None:
            return await self.receive()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _request_id(scope: "Scope") -> str:
    """Return Lambda's request id, which Mangum hands on in its context; outside of Lambda, make one up."""
    context = scope.get("aws.context")
    return getattr(context, "aws_request_id", None) or os.urandom(16).hex()
