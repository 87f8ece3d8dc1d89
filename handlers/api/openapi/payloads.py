"""The path where clients get an address to upload what is too large for a request."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.operations import Json, answers, json_content, operation

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel

__all__ = ["TAG", "paths"]

TAG = "Payloads"


def paths(_: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    asked: Json = {
        "type": "object",
        "required": ["size", "sha256"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "description": "In bytes."},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
    }
    issued: Json = {
        "type": "object",
        "required": ["payload", "upload", "expires_at"],
        "properties": {
            "payload": {"type": "string", "description": "What stands for the upload in a request."},
            "upload": {
                "type": "object",
                "required": ["method", "url", "headers"],
                "properties": {
                    "method": {"type": "string", "enum": ["PUT"]},
                    "url": {"type": "string"},
                    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "expires_at": {},
        },
    }
    described = operation(
        "v1_payloads",
        TAG,
        "Get an address to upload a large body to.",
        answers(json_content(issued), 400, 413, 415, 501, 503),
        requestBody={"required": True, "content": json_content(asked)},
    )
    return {"/v1/payloads": {"post": described}}
