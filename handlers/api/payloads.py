"""Where clients get an address to upload what is too large for a request. Formats: docs/payloads.md."""

import asyncio
import re
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.bodies import read_body
from handlers.api.service import service_of
from handlers.api.statuses import json_response
from handlers.errors import InvalidInput

__all__ = ["routes"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


class _UploadRequest(msgspec.Struct):
    size: Annotated[int, Meta(ge=1)]
    sha256: str


_decoder = msgspec.json.Decoder(_UploadRequest)


async def _issue(request: Request) -> Response:
    service = service_of(request)
    service.payloads.check()
    asked = _decode(await read_body(request, service.max_body_bytes))
    # in a thread: the first one imports boto3, and looks for credentials
    upload = await asyncio.to_thread(service.payloads.issue, asked.size, asked.sha256)
    return json_response(
        {
            "payload": str(upload.payload),
            "upload": {"method": "PUT", "url": upload.url, "headers": upload.headers},
            "expires_at": upload.expires_at,
        }
    )


def _decode(body: bytes) -> _UploadRequest:
    expected = "expected a JSON object with `size` in bytes, at least 1, and `sha256` in 64 digits 0-9 a-f"
    try:
        asked = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"body: {error}, {expected}"
        raise InvalidInput(msg) from error
    if _SHA256.fullmatch(asked.sha256) is None:
        msg = f"sha256: {asked.sha256[:80]!r}, {expected}"
        raise InvalidInput(msg)
    return asked


routes = [Route("/v1/payloads", _issue, methods=["POST"])]
