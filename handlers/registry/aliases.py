"""Aliases: mutable names for versions, and the history of what they named. docs/versions.md is their specification.

This is the side that reads: `handlers.versions` changes them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from handlers.errors import CorruptFile, ModelNotFound, ObjectNotFound, UnsupportedManifest
from handlers.registry.names import aliases_key, is_model_name, models_prefix
from handlers.registry.sealed import check_seal, unseal
from handlers.registry.stores import Store, StoredObject

__all__ = [
    "SCHEMA_VERSION",
    "Action",
    "Alias",
    "AliasChange",
    "Aliases",
    "Version",
    "alias_of",
    "decode_aliases",
    "find_alias",
    "list_models",
    "read_aliases",
]

SCHEMA_VERSION = 2

Version = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,17}\Z")]
Action = Literal["promote", "canary", "rollback", "pin", "unpin", "remove", "retire"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A piece of the document: immutable, and nothing in it that this reader does not know."""


class Alias(_Part, frozen=True, kw_only=True):
    """What an alias names: a version, or two of which `canary` gets `weight` percent of the requests.

    While it is `pinned` it can be neither moved nor removed.
    """

    version: Version
    canary: Version | None = None
    weight: Annotated[int, Meta(ge=0, le=99)] = 0
    pinned: bool = False

    @property
    def versions(self) -> tuple[str, ...]:
        """All that it names."""
        return (self.version,) if self.canary is None else (self.version, self.canary)

    def __str__(self) -> str:
        """Say it to people: `3`, or `3 and 10 % 4`."""
        split = "" if self.canary is None else f" and {self.weight} % {self.canary}"
        return f"{self.version}{split}{', pinned' if self.pinned else ''}"


class AliasChange(_Part, frozen=True, kw_only=True):
    """One entry of the history: who did what to an alias, when, and why; or retired a version.

    `id` is the operation's: it tells whether an operation happened whose answer got lost. `before` and `after` are
    None where there was, or is, no such alias; `version` is what was retired. `forced` says what stood against it.
    """

    id: str
    at: str
    by: str
    action: Action
    alias: str | None = None
    before: Alias | None = None
    after: Alias | None = None
    version: Version | None = None
    reason: str = ""
    forced: tuple[str, ...] = ()


class Aliases(_Part, frozen=True, kw_only=True):
    """All aliases of a model, the versions that may never be named again, and all changes, the oldest first."""

    schema_version: int
    model: str
    aliases: dict[str, Alias] = {}
    retired: tuple[Version, ...] = ()
    history: tuple[AliasChange, ...] = ()

    def naming(self, version: str) -> list[str]:
        """Return the aliases that name a version, sorted."""
        return sorted(name for name, alias in self.aliases.items() if version in alias.versions)


class _SchemaVersion(msgspec.Struct):
    schema_version: int


def list_models(store: Store) -> list[str]:
    """Return the names of the models in a store, sorted. Folders that have no model's name are somebody else's.

    Raises:
        StoreUnavailable: The store could not be asked.
    """
    return [name for name in store.list_folders(models_prefix()) if is_model_name(name)]


def read_aliases(store: Store, model: str) -> tuple[Aliases, str | None]:
    """Return a model's aliases, and the etag to replace them with; none and None where there is no such object.

    Raises:
        CorruptFile: What is there is not what was written.
        UnsupportedManifest: It was written by a newer lambdaserve.
        StoreUnavailable: The store could not be asked.
    """
    try:
        found = store.read(aliases_key(model))
    except ObjectNotFound:
        return Aliases(schema_version=SCHEMA_VERSION, model=model), None
    return decode_aliases(found, model), found.etag


def decode_aliases(found: StoredObject, model: str) -> Aliases:
    """Return the aliases in the object that holds those of `model`. Raises as `read_aliases`."""
    key = aliases_key(model)
    check_seal(found.data, key)
    try:
        schema = msgspec.json.decode(found.data, type=_SchemaVersion).schema_version
    except msgspec.DecodeError as error:
        msg = f"{key}: {error}, expected aliases"
        raise CorruptFile(msg) from error
    if schema > SCHEMA_VERSION:
        msg = f"{key}: schema version {schema}, expected {SCHEMA_VERSION} at most; upgrade lambdaserve to read it"
        raise UnsupportedManifest(msg)
    if schema < SCHEMA_VERSION:
        from handlers.registry.older_aliases import decode_older_aliases  # few stores need it

        aliases = decode_older_aliases(found.data, key)
    else:
        aliases = unseal(found.data, Aliases, key)
    if aliases.model != model:
        msg = f"{key}: of model {aliases.model!r}, expected of {model!r}"
        raise CorruptFile(msg)
    return aliases


def find_alias(store: Store, model: str, alias: str) -> Alias:
    """Return what `alias` of `model` names.

    Raises:
        ModelNotFound: There is no such alias, or no such model.
        LambdaserveError: As `read_aliases`.
    """
    return alias_of(read_aliases(store, model)[0], alias)


def alias_of(aliases: Aliases, alias: str) -> Alias:
    """Return what one of a model's aliases names.

    Raises:
        ModelNotFound: There is no such alias.
    """
    found = aliases.aliases.get(alias)
    if found is None:
        known = ", ".join(sorted(aliases.aliases)) or "none"
        msg = f"model {aliases.model!r}: no alias {alias[:80]!r}, expected one of: {known}; promote a version to it"
        raise ModelNotFound(msg)
    return found
