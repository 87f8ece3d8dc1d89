"""Aliases: mutable names for versions, and the history of what they named."""

import getpass
import os
import socket
import uuid
from datetime import UTC, datetime

import msgspec

from handlers.errors import CorruptFile, ModelNotFound, ObjectChanged, ObjectExists, ObjectNotFound, StoreUnavailable
from handlers.registry.names import aliases_key, check_alias, check_version
from handlers.registry.sealed import seal, unseal
from handlers.registry.stores import Store

__all__ = ["AliasChange", "Aliases", "point_alias", "read_aliases", "resolve_alias"]

_ATTEMPTS = 100  # of compare-and-swap; each failed one means that another writer got through


class AliasChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the history: who let an alias name another version, when, and why."""

    id: str
    at: str
    by: str
    alias: str
    before: str | None
    after: str
    reason: str


class Aliases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All aliases of a model (alias -> version) and how they came about, oldest change first."""

    schema_version: int
    model: str
    aliases: dict[str, str]
    history: tuple[AliasChange, ...]


def read_aliases(store: Store, model: str) -> tuple[Aliases, str | None]:
    """Return a model's aliases, and the etag to replace them with; none and None where there is no such object.

    Raises:
        CorruptFile: What is there is not what was written.
        StoreUnavailable: The store could not be asked.
    """
    key = aliases_key(model)
    try:
        found = store.read(key)
    except ObjectNotFound:
        return Aliases(schema_version=1, model=model, aliases={}, history=()), None
    aliases = unseal(found.data, Aliases, key)
    if aliases.schema_version != 1 or aliases.model != model:
        msg = f"{key}: schema version {aliases.schema_version} of model {aliases.model!r}, expected 1 of {model!r}"
        raise CorruptFile(msg)
    return aliases, found.etag


def resolve_alias(store: Store, model: str, alias: str) -> str:
    """Return the version that `alias` of `model` names.

    Raises:
        ModelNotFound: There is no such alias, or no such model.
        CorruptFile, StoreUnavailable: As `read_aliases`.
    """
    aliases, _ = read_aliases(store, model)
    if alias not in aliases.aliases:
        known = ", ".join(sorted(aliases.aliases)) or "none"
        msg = f"model {model!r}: no alias {alias!r}, expected one of: {known}; publish it with --alias {alias}"
        raise ModelNotFound(msg)
    return check_version(aliases.aliases[alias])


def point_alias(store: Store, model: str, alias: str, version: str, reason: str) -> AliasChange:
    """Let `alias` name `version` from now on, by compare-and-swap, and return the entry in the history.

    Raises:
        StoreUnavailable: The store could not be asked, or too many others changed the aliases at the same time.
        CorruptFile: As `read_aliases`.
    """
    check_alias(alias)
    check_version(version)
    key = aliases_key(model)
    operation = uuid.uuid4().hex
    for _ in range(_ATTEMPTS):
        current, etag = read_aliases(store, model)
        change = AliasChange(
            id=operation,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            by=_who(),
            alias=alias,
            before=current.aliases.get(alias),
            after=version,
            reason=reason,
        )
        changed = msgspec.structs.replace(
            current, aliases=current.aliases | {alias: version}, history=(*current.history, change)
        )
        try:
            if etag is None:
                store.create(key, seal(changed))
            else:
                store.replace(key, seal(changed), etag)
        except (ObjectExists, ObjectChanged):
            continue
        return change
    msg = f"{key}: changed by others {_ATTEMPTS} times in a row, expected a quiet moment; try again"
    raise StoreUnavailable(msg)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id need not have a name; OSError from Python 3.13 on
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
