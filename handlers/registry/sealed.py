"""JSON documents that carry their own SHA-256, so that a flipped byte in a store is seen before it is believed.

A sealed document is a JSON object whose first member is `"sha256"`. Its value is the SHA-256, in hexadecimal, of the
document's bytes with those 64 digits replaced by zeros. docs/manifest.md shows how to check one by hand.
"""

import hashlib
from typing import TypeVar

import msgspec

from handlers.errors import CorruptFile

_PREFIX = b'{\n  "sha256": "'
_DIGITS = slice(len(_PREFIX), len(_PREFIX) + 64)
_ZEROS = b"0" * 64

T = TypeVar("T", bound=msgspec.Struct)


def seal(document: msgspec.Struct) -> bytes:
    """Return `document` as indented JSON that carries its own hash. The same document gives the same bytes."""
    body = msgspec.json.format(msgspec.json.encode(document), indent=2)
    blank = _PREFIX + _ZEROS + b'",' + body.removeprefix(b"{") + b"\n"
    return blank[: _DIGITS.start] + _digest(blank) + blank[_DIGITS.stop :]


def unseal(data: bytes, kind: type[T], subject: str) -> T:
    """Return the document in `data`, checked against its hash and against `kind`.

    Args:
        data: The bytes that `seal` made.
        kind: What is expected in them.
        subject: What to call it in errors, for example its key.

    Raises:
        CorruptFile: The hash does not match, or this is no sealed document of that kind.
    """
    check_seal(data, subject)
    try:
        return msgspec.json.decode(data[: len(b"{\n")] + data[_DIGITS.stop + 2 :], type=kind)
    except msgspec.DecodeError as error:
        msg = f"{subject}: {error}, expected a {kind.__name__.lower()}"
        raise CorruptFile(msg) from error


def check_seal(data: bytes, subject: str) -> None:
    """Check the document's hash only.

    Raises:
        CorruptFile: It does not match.
    """
    if not data.startswith(_PREFIX) or data[_DIGITS.stop : _DIGITS.stop + 2] != b'",':
        msg = f"{subject}: {len(data)} bytes that start with {data[:16]!r}, expected a document with its sha256"
        raise CorruptFile(msg)
    expected = data[_DIGITS]
    found = _digest(data[: _DIGITS.start] + _ZEROS + data[_DIGITS.stop :])
    if found != expected:
        msg = f"{subject}: sha256 {found.decode()}, expected {expected.decode(errors='replace')}"
        raise CorruptFile(msg)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()
