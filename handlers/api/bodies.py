"""Request bodies, bounded, and decompressed where they were compressed on their way."""

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from handlers.api.headers import header
from handlers.errors import InvalidInput, PayloadTooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from zlib import _Decompress

__all__ = ["read_body"]

_DIGITS = 20  # hold any size there is; int() refuses thousands of them
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # how zlib is told of the header that to expect
_ENCODINGS = ("identity", "", *_WINDOW_BITS)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Return the request's body, decompressed if its Content-Encoding is gzip or deflate.

    A body that arrives in one piece, as it does on Lambda, is returned as it is, without a copy.

    Raises:
        PayloadTooLarge: It is, or claims to be, larger than `max_bytes`, as sent or decompressed; no more than that
            was held in memory of either.
        UnsupportedMedia: It has another Content-Encoding.
        InvalidInput: It is not compressed as its Content-Encoding says.
    """
    claimed = header(request, b"content-length")
    if claimed and claimed.isdecimal() and int(claimed[:_DIGITS]) > max_bytes:
        found = f"{claimed[:_DIGITS]} bytes"
        raise _too_large(found, max_bytes)
    encoding = header(request, b"content-encoding")
    if encoding and (encoding := encoding.strip().lower()) not in _ENCODINGS:
        msg = f"content encoding: {encoding[:80]!r}, expected one of: identity, gzip, deflate"
        raise UnsupportedMedia(msg)
    chunks = []
    size = 0
    more = True
    while more:  # `Request.stream` does the same, at twice the price where there is one piece
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > max_bytes:
            found = f"more than {max_bytes} bytes"
            raise _too_large(found, max_bytes)
        if chunk:  # a join of one piece is that piece
            chunks.append(chunk)
    body = b"".join(chunks)
    return _decompress(body, encoding, max_bytes) if encoding and encoding in _WINDOW_BITS else body


def _decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    import zlib

    decompressor: _Decompress = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        found = decompressor.decompress(body, max_bytes + 1)
    except zlib.error as error:
        msg = f"body: {error}, expected {encoding} as its content encoding says"
        raise InvalidInput(msg) from error
    if len(found) > max_bytes:
        size = f"more than {max_bytes} bytes when decompressed"
        raise _too_large(size, max_bytes)
    if not decompressor.eof or decompressor.unused_data:
        msg = f"body: {'bytes after the end' if decompressor.eof else 'cut short'}, expected one {encoding} stream"
        raise InvalidInput(msg)
    return found


def _too_large(found: str, max_bytes: int) -> PayloadTooLarge:
    msg = f"body: {found}, expected at most {max_bytes}"
    return PayloadTooLarge(msg)
