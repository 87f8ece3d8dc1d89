"""What descriptions of operations are made of, whatever the protocol."""

from typing import Any

import msgspec

__all__ = [
    "ERROR_SCHEMAS",
    "MODEL",
    "MOST_EXAMPLE_BYTES",
    "VERSION",
    "Json",
    "answers",
    "json_content",
    "operation",
    "ref",
]

Json = dict[str, Any]

MOST_EXAMPLE_BYTES = 40_000
"""Of an example in JSON: pages that show it have to stay usable."""

_ERRORS = {
    400: "The request says something that the model cannot take; `error` says what was found and what was expected.",
    404: "No such model, version or path.",
    413: "The body is larger than the limit.",
    415: "Nothing here reads a body of that content type.",
    501: "This cannot be done here, by design; `error` says why.",
    500: "A fault of the service, or not enough memory for this input.",
    503: "The model cannot be served yet; the next request tries again.",
    504: "The work would not have ended in the time that is left.",
    507: "The model does not fit into the memory that models may take.",
}
_GATEWAY_ERRORS = {
    403: "API Gateway: no `x-api-key`, or an unknown one.",
    429: "API Gateway: more requests than the usage plan allows.",
}

ERROR_SCHEMAS: Json = {
    "Error": {
        "type": "object",
        "required": ["error", "request_id"],
        "properties": {
            "error": {"type": "string", "description": "What was found, and what was expected."},
            "request_id": {"type": "string", "description": "Under which the log has more."},
        },
    },
    "GatewayError": {
        "type": "object",
        "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
    },
}

MODEL: Json = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "The model's name.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
}
VERSION: Json = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "A version, or an alias that names one.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
}


BINARY: Json = {"type": "string", "format": "binary"}


def ref(schema: str) -> Json:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def json_content(schema: Json, example: object = None) -> Json:
    """Return the content of a body in JSON, with its example if there is one and it is small enough to be shown."""
    shown = example is not None and len(msgspec.json.encode(example)) <= MOST_EXAMPLE_BYTES
    return {"application/json": {"schema": schema} | ({"example": example} if shown else {})}


def answers(success: Json, *errors: int, error: str = "Error") -> Json:
    """Return the responses of an operation: 200 with `success` as its content, our errors, and API Gateway's."""
    ours = {str(status): _error(_ERRORS[status], error) for status in errors}
    gateways = {str(status): _error(text, "GatewayError") for status, text in _GATEWAY_ERRORS.items()}
    return {"200": {"description": "As asked.", "content": success}} | ours | gateways


def operation(identifier: str, tag: str, summary: str, responses: Json, **more: object) -> Json:
    """Return an operation. `more`: its parameters, requestBody, security, description."""
    return {"operationId": identifier, "tags": [tag], "summary": summary, **more, "responses": responses}


def _error(description: str, schema: str) -> Json:
    return {"description": description, "content": json_content(ref(schema))}
