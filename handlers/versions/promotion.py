"""The gate of a promotion: what stands against a version, and promotions that are refused because of it.

A rollback goes without: it must take a second, not a download, and what it goes back to was live before.
"""

from typing import get_args

from handlers.errors import ArtifactError, CorruptFile, ObjectNotFound, PromotionRefused, VersionNotFound
from handlers.registry.aliases import AliasChange, Aliases, read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import CpuKind, Manifest
from handlers.registry.names import check_alias
from handlers.registry.stores import Store
from handlers.settings import Settings
from handlers.versions.aliasing import after_canary, after_promotion, canary, last_named, promote
from handlers.versions.changes import Operation
from handlers.versions.compatibility import incompatibilities
from handlers.versions.replay import replay_objections

__all__ = ["canary_checked", "objections", "promote_checked"]

_LIVE = "live"


def promote_checked(  # noqa: PLR0913, PLR0917 - what a promotion is made of
    store: Store,
    model: str,
    alias: str,
    version: str,
    operation: Operation,
    settings: Settings,
    *,
    force: bool = False,
    seen: Aliases | None = None,
) -> AliasChange:
    """Let an alias name a version if nothing stands against it, or in spite of that: the history says of what.

    Args:
        store: Where the model is.
        model: Its name.
        alias: What is to name the version.
        version: A complete one.
        operation: Who, why, and under which id. Where it was done already, nothing is checked.
        settings: Threads, scratch folder and memory for opening the model.
        force: Promote it although something stands against it.
        seen: The aliases on which the decision to promote it rests; None: as they are now.

    Raises:
        PromotionRefused: Something does; the message lists all of it.
        VersionNotFound: There is no such version, or it is not complete.
        ArtifactError: Its manifest is not what was written, or of a newer schema.
        AliasChanged: Others changed the alias while this looked at the version.
        LambdaserveError: As `handlers.versions.aliasing.promote`.
    """
    seen = seen or read_aliases(store, model)[0]
    found: tuple[str, ...] = ()
    if not _is_done(seen, operation):
        after_promotion(check_alias(alias), version, seen)  # what costs nothing to refuse
        found = _objections(store, seen, alias, version, settings)
    if found and not force:
        raise _refusal(seen, alias, version, found)
    return promote(store, model, alias, version, operation, seen, found)


def canary_checked(  # noqa: PLR0913, PLR0917 - what a canary is made of
    store: Store,
    model: str,
    alias: str,
    version: str,
    weight: int,
    operation: Operation,
    settings: Settings,
    *,
    force: bool = False,
    seen: Aliases | None = None,
) -> AliasChange:
    """Let a version have `weight` percent of the requests to an alias, likewise.

    Raises:
        ModelNotFound: There is no such alias yet.
        LambdaserveError: As `promote_checked`.
    """
    seen = seen or read_aliases(store, model)[0]
    found: tuple[str, ...] = ()
    if not _is_done(seen, operation):
        after_canary(check_alias(alias), version, weight, seen)  # as above
        found = _objections(store, seen, alias, version, settings)
    if found and not force:
        raise _refusal(seen, alias, version, found)
    return canary(store, model, alias, version, weight, operation, seen, found)


def objections(store: Store, model: str, version: str, present: Manifest | None, settings: Settings) -> tuple[str, ...]:
    """Return what stands against serving a version, a sentence each; none where it is as it should be.

    Fetches it, opens it and replays its goldens: takes as long as a cold start of it does.

    Args:
        store: Where it is.
        model: Its name.
        version: Its number.
        present: The version whose place it is to take; None: there is none.
        settings: Threads, scratch folder and memory for opening it.

    Raises:
        VersionNotFound: There is no such version, or it is not complete.
        ArtifactError: Its manifest is not what was written, or of a newer schema.
        StoreUnavailable: The store could not be asked.
    """
    manifest = _complete(store, model, version)
    fits = () if present is None else incompatibilities(present, manifest)
    return (*_gate_objections(manifest), *replay_objections(store, manifest, settings), *fits)


def _is_done(seen: Aliases, operation: Operation) -> bool:
    return any(change.id == operation.id for change in seen.history)


def _objections(store: Store, seen: Aliases, alias: str, version: str, settings: Settings) -> tuple[str, ...]:
    """Return what stands against letting an alias name a version. Raises as `objections`."""
    present, unknown = _present(store, seen, alias)
    return (*unknown, *objections(store, seen.model, version, present, settings))


def _refusal(seen: Aliases, alias: str, version: str, found: tuple[str, ...]) -> PromotionRefused:
    msg = f"alias {alias!r} of {seen.model!r}: version {version} is objected to, expected no objection, or to be forced"
    return PromotionRefused(msg, found)


def _present(store: Store, seen: Aliases, alias: str) -> tuple[Manifest | None, tuple[str, ...]]:
    """Return the version whose place another one is to take: the alias's, else that of `live`; or why it is unknown.

    Of an alias that was removed, what it named then: whoever calls it expects the same.
    """
    named = last_named(seen, alias) or last_named(seen, _LIVE)
    if named is None or (named.version in seen.retired and not seen.naming(named.version)):
        return None, ()
    try:
        return fetch_manifest(store, seen.model, named.version), ()
    except (ArtifactError, VersionNotFound) as error:
        return None, (f"version {named.version}, which is named at present: {error}; what it takes is not known",)


def _complete(store: Store, model: str, version: str) -> Manifest:
    try:
        return fetch_manifest(store, model, version)
    except CorruptFile as error:
        if not isinstance(error.__cause__, ObjectNotFound):
            raise
        msg = f"model {model!r}: no version {version!r} that is complete, expected one; publish it first"
        raise VersionNotFound(msg) from error


def _gate_objections(manifest: Manifest) -> list[str]:
    """Return which of the variants that would be served failed: those chosen for a kind of CPU, and fp32, the last."""
    chosen = {manifest.variants_for(cpu)[0].name for cpu in get_args(CpuKind)}
    return [
        f"variant {variant.name!r}: {variant.gate.metric} {variant.gate.score:.4g}, {variant.gate.loss:.2%} below "
        f"PyTorch's {variant.gate.reference:.4g}, expected at most {variant.gate.allowed:.2%} below; its gate failed"
        for variant in manifest.variants
        if not variant.gate.passed and (variant.name in chosen or variant is manifest.variants[-1])
    ]
