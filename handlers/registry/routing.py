"""Which version answers a request: the one that it names, or one of those that an alias does."""

import hashlib
import random

from handlers.errors import InvalidName
from handlers.registry.aliases import Alias, Aliases
from handlers.registry.names import check_version

__all__ = ["MAIN", "find_version", "is_version", "list_names", "share_of", "version_of"]

MAIN = 100.0
"""The share of whoever wants no part in a split: an alias's first version."""

_DRAWN_BYTES = 8
_DRAWN = 1 << 8 * _DRAWN_BYTES


def is_version(name: str) -> bool:
    """Tell whether what a request names is a version; all else is an alias."""
    return name.isascii() and name.isdigit()


def share_of(model: str, key: str | None) -> float:
    """Return where a request stands among all of a model's, from 0 to 100 percent.

    Args:
        model: Its name; the same keys are spread differently over each.
        key: Requests of one key stand at one place, in every process; None: at a place of their own, by chance.
    """
    if key is None:
        return random.random() * 100  # noqa: S311 - no secret depends on it
    digest = hashlib.sha256(f"{model}\0{key}".encode()).digest()
    return int.from_bytes(digest[:_DRAWN_BYTES], "big") / _DRAWN * 100


def version_of(alias: Alias, share: float) -> str:
    """Return which of its versions an alias gives to a request that stands at `share` percent."""
    return alias.canary if alias.canary is not None and share < alias.weight else alias.version


def find_version(aliases: Aliases, name: str, share: float) -> str | None:
    """Return the version that a request names, itself or by an alias; None: no alias has the name, or it is retired.

    Whether there is a version of that number only the store knows.
    """
    if is_version(name):
        return name if _is_possible(name) and name not in aliases.retired else None
    alias = aliases.aliases.get(name)
    return None if alias is None else version_of(alias, share)


def _is_possible(version: str) -> bool:
    try:
        check_version(version)
    except InvalidName:
        return False
    return True


def list_names(aliases: Aliases) -> str:
    """Return what requests may name, for people: the aliases and what they name."""
    return ", ".join(f"{name} ({alias})" for name, alias in sorted(aliases.aliases.items())) or "none"
