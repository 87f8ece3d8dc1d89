"""The outermost layer of the application: what every request and every answer has in common, whatever the protocol."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from handlers.api.compression import LEAST_BYTES, compress, takes_gzip
from handlers.api.cors import cors_headers
from handlers.api.mount import mount
from handlers.api.service import Service
from handlers.api.statuses import error_response
from handlers.telemetry import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Boundary"]

_COMPRESSIBLE = ("application/json", "text/")


@dataclass
class Boundary:
    """ASGI middleware: names each request, finishes each answer, and answers for faults that nothing inside expected.

    One layer for all of it, so that a small answer pays once.
    """

    app: "ASGIApp"
    service: Service
    cors_origins: Sequence[str]
    base_path: str

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle a request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = request_id.set(_request_id(scope))
        mount(scope, self.base_path)
        head: Message | None = None  # held back until the body shows how large the answer is
        sent = False

        async def finish(message: "Message") -> None:
            nonlocal head, sent
            if message["type"] == "http.response.start":
                head = message
                return
            if head is not None:
                self._finish(scope, head, message)
                sent = True
                await send(head)
                head = None
            await send(message)

        try:
            await self.app(scope, receive, finish)
        except Exception as error:  # the last line of defence: no traceback reaches the client
            self.service.telemetry.crashed(error)
            if sent:
                raise
            answer = error_response(500, "internal error: the log has it under this request's id")
            await answer(scope, receive, finish)
        finally:
            request_id.reset(token)

    def _finish(self, scope: "Scope", head: "Message", message: "Message") -> None:
        """Complete the head and the only or first part of an answer's body."""
        if len(message["body"]) >= LEAST_BYTES and not message.get("more_body", False):
            _compress(scope, head, message)
        if scope["method"] == "HEAD":
            message["body"] = b""
        if self.cors_origins:
            headers = MutableHeaders(raw=head["headers"])
            allowed = headers.get("allow") if scope["method"] == "OPTIONS" else None
            for name, value in cors_headers(self.cors_origins, Headers(scope=scope), allowed).items():
                headers.append(name, value)


def _compress(scope: "Scope", head: "Message", message: "Message") -> None:
    headers = MutableHeaders(raw=head["headers"])
    if not headers.get("content-type", "").startswith(_COMPRESSIBLE) or "content-encoding" in headers:
        return
    headers.append("Vary", "Accept-Encoding")
    if takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
        message["body"] = compress(message["body"])
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(message["body"]))


def _request_id(scope: "Scope") -> str:
    """Return Lambda's request id, which Mangum hands on in its context; outside of Lambda, make one up."""
    context = scope.get("aws.context")
    return getattr(context, "aws_request_id", None) or str(uuid.uuid4())
