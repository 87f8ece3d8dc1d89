"""Cross-origin requests: which origins' pages may read the answers. Fetch standard: https://fetch.spec.whatwg.org/#cors.

Cookies mean nothing here, so no credentials are allowed: what a page knows it sends in a header, and may name any.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = ["EXPOSED_HEADERS", "cors_headers"]

EXPOSED_HEADERS = ("Inference-Header-Content-Length", "Retry-After", "Server-Timing", "X-Model-Version")
"""Headers of answers that pages may read beside those that they always may."""

_ANY = "*"
_PREFLIGHT_S = 7200  # the longest that Chromium remembers a preflight


def cors_headers(origins: Sequence[str], request: "Headers", allowed_methods: str | None) -> dict[str, str]:
    """Return the headers to add to an answer.

    Args:
        origins: Those allowed, in lower case; "*": all.
        request: The request's headers.
        allowed_methods: Of the path, where the request is OPTIONS: it may be a preflight.
    """
    origin = request.get("origin")
    if origin is None or not (_ANY in origins or origin.lower() in origins):
        return {} if _ANY in origins else {"Vary": "Origin"}
    headers = (
        {"Access-Control-Allow-Origin": _ANY}
        if _ANY in origins
        else {
            "Access-Control-Allow-Origin": origin,
            "Vary": "Origin",
        }
    )
    if allowed_methods is None or "access-control-request-method" not in request:
        return headers | {"Access-Control-Expose-Headers": ", ".join(EXPOSED_HEADERS)}
    headers |= {"Access-Control-Allow-Methods": allowed_methods, "Access-Control-Max-Age": str(_PREFLIGHT_S)}
    if asked := request.get("access-control-request-headers"):
        headers["Access-Control-Allow-Headers"] = asked
    return headers
