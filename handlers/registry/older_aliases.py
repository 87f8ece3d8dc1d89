"""Aliases as lambdaserve wrote them before schema version 2: each alias named one version, and no version retired."""

import msgspec

from handlers.errors import CorruptFile
from handlers.registry.aliases import SCHEMA_VERSION, Alias, AliasChange, Aliases, Version
from handlers.registry.sealed import unseal

__all__ = ["decode_older_aliases"]


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    at: str
    by: str
    alias: str
    before: Version | None
    after: Version
    reason: str


class _Aliases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    model: str
    aliases: dict[str, Version]
    history: tuple[_Change, ...]


def decode_older_aliases(data: bytes, subject: str) -> Aliases:
    """Return aliases of schema version 1 as they would be written today.

    Raises:
        CorruptFile: This is no such document.
    """
    older = unseal(data, _Aliases, subject)
    if older.schema_version != 1:
        msg = f"{subject}: schema version {older.schema_version}, expected 1 or more"
        raise CorruptFile(msg)
    return Aliases(
        schema_version=SCHEMA_VERSION,
        model=older.model,
        aliases={name: Alias(version=version) for name, version in older.aliases.items()},
        history=tuple(
            AliasChange(
                id=change.id,
                at=change.at,
                by=change.by,
                action="promote",
                alias=change.alias,
                before=None if change.before is None else Alias(version=change.before),
                after=Alias(version=change.after),
                reason=change.reason,
            )
            for change in older.history
        ),
    )
