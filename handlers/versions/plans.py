"""What a model does not need any more, and why: looked up and changed by nobody here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from handlers.errors import ArtifactError, VersionNotFound
from handlers.registry.aliases import Aliases, read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE
from handlers.registry.names import model_prefix
from handlers.registry.stores import ObjectInfo, Store
from handlers.versions.aliasing import versions_before
from handlers.versions.claims import CLAIM_FILE
from handlers.versions.listing import VersionFiles, list_files

__all__ = ["Plan", "Removal", "Retention", "needed_versions", "plan_collection", "unnamed_files"]

_DAY_S, _HOUR_S = 86400, 3600
_KEPT = {CLAIM_FILE, MANIFEST_FILE}


@dataclass(frozen=True)
class Retention:
    """What is kept of what nobody needs: the newest `keep` complete versions, and what is younger than `min_age_days`.

    Claims that were never finished are closed after `claim_hours`.
    """

    keep: int = 3
    min_age_days: float = 7
    claim_hours: float = 24


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan: what is done to which version, why, and how many bytes that frees.

    `delete`: a version goes, or what is left of one that is being deleted. `close`: a claim that was never finished
    gets a tombstone, and its files go. `clear`: files go that nothing names. `sweep`: what writers that died left
    hidden goes, anywhere below the model.
    """

    action: Literal["delete", "close", "clear", "sweep"]
    version: str | None
    reason: str
    size_bytes: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would go of a model, and its `newest` versions, which stay at least for being that."""

    model: str
    removals: tuple[Removal, ...]
    newest: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """What it frees."""
        return sum(removal.size_bytes for removal in self.removals)


def plan_collection(store: Store, model: str, retention: Retention, now_s: float) -> Plan:
    """Return what would go of a model; changes nothing.

    Args:
        store: Where the model is.
        model: Its name.
        retention: What is kept of what nobody needs.
        now_s: The time, in seconds since 1970. Ages are by what the store says when objects were written.

    Raises:
        StoreUnavailable: The store could not be asked.
        LambdaserveError: As `read_aliases`.
    """
    versions = list_files(store, model)
    aliases = read_aliases(store, model)[0]
    complete = [found.version for found in versions if _is_complete(found, aliases)]
    newest = tuple(complete[max(len(complete) - retention.keep, 0) :])
    kept = needed_versions(aliases).keys() | set(newest)
    removals: list[Removal] = []
    for found in versions:
        if not _is_complete(found, aliases):
            removals += _plan_incomplete(found, aliases, retention, now_s)
        elif found.version in kept or _age_s(found.files[MANIFEST_FILE], now_s) < retention.min_age_days * _DAY_S:
            removals += _plan_unnamed(store, model, found)
        else:
            reason = f"no alias names it, and it is none of the newest {retention.keep}"
            removals.append(Removal(action="delete", version=found.version, reason=reason, size_bytes=_size(found)))
    if abandoned := store.sweep(model_prefix(model), remove=False):
        size_bytes = sum(info.size for info in abandoned)
        reason = f"{len(abandoned)} files of writers that died"
        removals.append(Removal(action="sweep", version=None, reason=reason, size_bytes=size_bytes))
    return Plan(model=model, removals=tuple(removals), newest=newest)


def needed_versions(aliases: Aliases) -> dict[str, str]:
    """Return, by version, why it must stay: an alias names it, or its next rollback, past any canary, goes to it."""
    needed: dict[str, str] = {}
    for name, alias in sorted(aliases.aliases.items()):
        needed |= dict.fromkeys(versions_before(aliases, name)[-1:], f"what {name!r} would roll back to")
        needed |= dict.fromkeys(alias.versions, f"named by {name!r}")
    return needed


def unnamed_files(store: Store, model: str, found: VersionFiles) -> list[ObjectInfo]:
    """Return the files of a version that nothing names: all, where it has a tombstone. None of what cannot be read.

    Raises:
        StoreUnavailable: The store could not be asked.
    """
    try:
        named = fetch_manifest(store, model, found.version).files.keys()
    except VersionNotFound:
        named = {}.keys()
    except ArtifactError:  # of a newer lambdaserve, or damaged: nobody can tell
        return []
    return [info for name, info in found.files.items() if name not in named and name not in _KEPT]


def _is_complete(found: VersionFiles, aliases: Aliases) -> bool:
    return MANIFEST_FILE in found.files and found.ended is None and found.version not in aliases.retired


def _plan_incomplete(found: VersionFiles, aliases: Aliases, retention: Retention, now_s: float) -> Iterator[Removal]:
    size_bytes = _size(found)
    if found.version in aliases.retired:
        if found.ended is None or size_bytes:
            reason = "its deletion was interrupted"
            yield Removal(action="delete", version=found.version, reason=reason, size_bytes=size_bytes)
    elif found.ended is not None:
        if size_bytes:
            yield Removal(action="clear", version=found.version, reason="closed", size_bytes=size_bytes)
    else:
        begun = found.files.get(CLAIM_FILE) or min(found.files.values(), key=lambda info: info.modified_s)
        if _age_s(begun, now_s) >= retention.claim_hours * _HOUR_S:
            reason = f"not finished within {retention.claim_hours:g} hours"
            yield Removal(action="close", version=found.version, reason=reason, size_bytes=size_bytes)


def _plan_unnamed(store: Store, model: str, found: VersionFiles) -> Iterator[Removal]:
    unnamed = unnamed_files(store, model, found)
    if unnamed:
        reason = f"{len(unnamed)} files that its manifest does not name"
        size_bytes = sum(info.size for info in unnamed)
        yield Removal(action="clear", version=found.version, reason=reason, size_bytes=size_bytes)


def _size(found: VersionFiles) -> int:
    """Return what would be freed: claim and manifest, or tombstone, stay."""
    return sum(info.size for name, info in found.files.items() if name not in _KEPT)


def _age_s(info: ObjectInfo, now_s: float) -> float:
    return now_s - info.modified_s
