"""Aliases as tests move them."""

from handlers.registry.aliases import AliasChange, find_alias
from handlers.registry.stores import Store
from handlers.versions.aliasing import promote
from handlers.versions.changes import Operation

__all__ = ["point_alias", "resolve_alias"]


def point_alias(store: Store, model: str, alias: str, version: str, reason: str = "test") -> AliasChange:
    """Let an alias name a version, whether there is such a version or not."""
    return promote(store, model, alias, version, Operation("tester@host", reason))


def resolve_alias(store: Store, model: str, alias: str) -> str:
    """Return the version that an alias names."""
    return find_alias(store, model, alias).version
