"""What a key may look like, in every store: the one check between a name from outside and a path or a request."""

import re

from handlers.errors import InvalidName

__all__ = ["check_key", "check_prefix", "is_segment"]

_LONGEST = 500  # S3 takes 1024 bytes for the prefix in the store's URL and the key together
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")  # 255: the longest file name of the usual file systems
_EXPECTED = (
    f"at most {_LONGEST} signs: names of A-Z a-z 0-9 . _ - that start with a letter or digit, with / between them"
)


def check_key(key: str) -> str:
    """Return `key` if it is one: relative, with no way up or out, at home in a file system and in S3.

    Raises:
        InvalidName: It is not.
    """
    if not is_key(key):
        msg = f"key: {key[:80]!r}, expected {_EXPECTED}"
        raise InvalidName(msg)
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if it is empty or a key followed by `/`.

    Raises:
        InvalidName: It is neither.
    """
    if prefix:
        if not prefix.endswith("/"):
            msg = f"prefix: {prefix[:80]!r}, expected '' or a / at its end"
            raise InvalidName(msg)
        check_key(prefix[:-1])
    return prefix


def is_key(text: str) -> bool:
    """Tell whether `text` is a key."""
    return len(text) <= _LONGEST and all(map(is_segment, text.split("/")))


def is_segment(name: str) -> bool:
    """Tell whether `name` may stand between two slashes of a key; hidden files have no such name."""
    return _SEGMENT.fullmatch(name) is not None
