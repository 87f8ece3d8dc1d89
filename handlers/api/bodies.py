"""Request bodies, bounded."""

from starlette.requests import Request

from handlers.errors import PayloadTooLarge

__all__ = ["read_body"]

_DIGITS = 20  # hold any size there is; int() refuses thousands of them


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the request's body.

    Raises:
        PayloadTooLarge: It is, or claims to be, larger than `max_bytes`; no more than that was held in memory.
    """
    claimed = request.headers.get("content-length", "")[:_DIGITS]
    if claimed.isdecimal() and int(claimed) > max_bytes:
        found = f"{claimed} bytes"
        raise _too_large(found, max_bytes)
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            found = f"more than {max_bytes} bytes"
            raise _too_large(found, max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(found: str, max_bytes: int) -> PayloadTooLarge:
    msg = f"body: {found}, expected at most {max_bytes}"
    return PayloadTooLarge(msg)
