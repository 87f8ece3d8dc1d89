"""The outermost layer of the application: what every request and every answer has in common, whatever the protocol."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from handlers.api.compression import LEAST_BYTES, compress, takes_gzip
from handlers.api.cors import cors_headers
from handlers.api.headers import MODEL_VERSION
from handlers.api.mount import mount
from handlers.api.service import Service
from handlers.api.statuses import error_response, status_of
from handlers.api.visit import Visit
from handlers.errors import AnswerTooLarge
from handlers.telemetry import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Boundary"]

_COMPRESSIBLE = ("application/json", "text/")
_OUR_FAULT = 500  # and above: what was asked for could not be done


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
        try:
            with Visit(scope) as visit:
                answer = _Answer(scope, visit, self.service, self.cors_origins, send)
                try:
                    mount(scope, self.base_path)
                    await self.app(scope, receive, answer.send)
                except Exception as error:  # the last line of defence: no traceback reaches the client
                    self.service.telemetry.crashed(error)
                    if answer.started:
                        raise
                    crash = error_response(500, "internal error: the log has it under this request's id")
                    await crash(scope, receive, answer.send)
        finally:
            request_id.reset(token)


@dataclass
class _Answer:
    """An answer on its way out. Its head is held back until the body shows how large it is; nothing here streams."""

    scope: "Scope"
    visit: Visit
    service: Service
    cors_origins: Sequence[str]
    send_on: "Send"
    started: bool = False
    """Whether the client has got something."""
    head: "Message" = field(default_factory=dict)

    async def send(self, message: "Message") -> None:
        """Take the application's next message."""
        if message["type"] == "http.response.start":
            self.head = message
            return
        if not self.started:
            self._finish(message)
            self.started = True
            await self.send_on(self.head)
        await self.send_on(message)

    def _finish(self, message: "Message") -> None:
        head = self.head
        if len(message["body"]) >= LEAST_BYTES:
            _compress(self.scope, head, message)
        try:
            self._check_size(message["body"])
        except AnswerTooLarge as error:
            refusal = error_response(status_of(error), str(error))
            head["status"], head["headers"] = refusal.status_code, refusal.raw_headers
            message["body"] = refusal.body
        if version := self.visit.model_version:
            head["headers"].append((MODEL_VERSION, version.encode()))
        if phases := self._server_timing():
            head["headers"].append((b"server-timing", phases.encode()))
        if self.scope["method"] == "HEAD":
            message["body"] = b""
        if self.cors_origins:
            headers = MutableHeaders(raw=head["headers"])
            allowed = headers.get("allow") if self.scope["method"] == "OPTIONS" else None
            for name, value in cors_headers(self.cors_origins, Headers(scope=self.scope), allowed).items():
                headers.append(name, value)

    def _server_timing(self) -> str:
        clock = self.visit.clock
        timeline = self.service.models.timeline
        cold = timeline.tell(
            waited="load" in clock.phases_ms,
            failed=self.head["status"] >= _OUR_FAULT,
            entered_s=timeline.at_s(self.visit.entered_s),
        )
        return ", ".join(part for part in (clock.header, cold) if part)

    def _check_size(self, body: bytes) -> None:
        limit = self.service.answer_limit
        if limit.max_bytes is None:
            return
        headers = Headers(raw=self.head["headers"])
        limit.check(headers.get("content-type", ""), body, compressed="content-encoding" in headers)


def _compress(scope: "Scope", head: "Message", message: "Message") -> None:
    headers = MutableHeaders(raw=head["headers"])
    if not headers.get("content-type", "").startswith(_COMPRESSIBLE) or "content-encoding" in headers:
        return
    headers.append("Vary", "Accept-Encoding")
    if takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
        compressed = compress(message["body"])
        if len(compressed) * 4 // 3 >= len(message["body"]):  # on its way it is base64
            return
        message["body"] = compressed
        headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(message["body"]))


def _request_id(scope: "Scope") -> str:
    """Return Lambda's request id, which Mangum hands on in its context; outside of Lambda, make one up."""
    context = scope.get("aws.context")
    # as random as uuid4, in a third of the time
    return getattr(context, "aws_request_id", None) or os.urandom(16).hex()
