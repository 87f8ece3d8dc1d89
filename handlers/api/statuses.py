"""The one table from error to HTTP status, and the form in which errors are answered."""

import msgspec
from starlette.responses import Response

from handlers import errors
from handlers.telemetry import request_id

__all__ = ["error_response", "json_response", "refusal", "status_of"]

_NOT_NOW = 503
_RETRY_AFTER_S = "1"

_STATUSES: dict[type[errors.LambdaserveError], int] = {
    errors.InvalidInput: 400,
    errors.InvalidName: 400,
    errors.CallerUnknown: 403,
    errors.ModelNotFound: 404,
    errors.VersionNotFound: 404,
    errors.PayloadNotFound: 404,
    errors.ChangeRefused: 409,
    errors.PreconditionFailed: 412,
    errors.PayloadTooLarge: 413,
    errors.AnswerTooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.NotSupported: 501,
    errors.DeadlineExceeded: 504,
    errors.InsufficientMemory: 507,
    errors.ModelNotReady: 503,
    errors.InvalidSetting: 503,
    errors.StoreError: 503,
    errors.ArtifactError: 503,
    errors.RuntimeFailure: 500,
    errors.LambdaserveError: 500,
}


def status_of(error: errors.LambdaserveError) -> int:
    """Return the HTTP status for an error: that of its nearest class in the table."""
    return next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)


def refusal(error: errors.LambdaserveError, code: str | None = None) -> Response:
    """Return the answer to a request that was refused with this error; `code` as `error_response` has it."""
    status = status_of(error)
    headers = {"Retry-After": _RETRY_AFTER_S} if status == _NOT_NOW else None
    return error_response(status, str(error), headers, code)


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
) -> Response:
    """Return the answer to a request that failed: `{"error": <message>, "request_id": <Lambda's>}`.

    With `code`, a word for machines, where the protocol knows such a member.
    """
    coded = {} if code is None else {"code": code}
    return json_response({"error": message, **coded, "request_id": request_id.get()}, status, headers)


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `content`, encoded as JSON."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")
