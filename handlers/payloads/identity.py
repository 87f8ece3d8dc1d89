"""What names a payload: an id that nobody can guess, and that says what has to be stored under it."""

import re
import secrets
from dataclasses import dataclass

from handlers.errors import InvalidInput

__all__ = ["PayloadId"]

_RANDOM_BYTES = 16
_FORM = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,11})-([0-9a-f]{64})")


@dataclass(frozen=True)
class PayloadId:
    """128 random bits, size and SHA-256 of a payload; as text, `<random>-<size>-<sha256>`, fit for a URL and for a key.

    As the id says size and hash, the service keeps no list of payloads: whoever changes a digit asks for another key,
    under which there is nothing.
    """

    random: str
    size: int
    sha256: str

    @classmethod
    def new(cls, size: int, sha256: str) -> "PayloadId":
        """Return a fresh id for `size` bytes with this hash, in hex."""
        return cls(secrets.token_hex(_RANDOM_BYTES), size, sha256)

    @classmethod
    def parse(cls, text: str) -> "PayloadId":
        """Return the id that a request names. No address is one, so no request can lead to anything but a payload.

        Raises:
            InvalidInput: It has not the form of an id.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            msg = (
                f"payload: {text[:80]!r}, expected an id from POST /v1/payloads or from an output; no address is taken"
            )
            raise InvalidInput(msg)
        return cls(found[1], int(found[2]), found[3])

    def __str__(self) -> str:
        return f"{self.random}-{self.size}-{self.sha256}"
