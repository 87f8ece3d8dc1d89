"""What operators do with aliases: promote, canary, rollback, pin, remove; and retiring a version.

Each checks that the version may be named at all; whether it is good enough is `handlers.versions.promotion`'s question.
"""

from collections.abc import Callable
from functools import partial

from handlers.errors import AliasPinned, NothingToChange, VersionInUse, VersionRetired
from handlers.registry.aliases import Alias, AliasChange, Aliases, alias_of
from handlers.registry.names import check_alias, check_version
from handlers.registry.stores import Store
from handlers.versions.changes import Asked, Operation, change_aliases

__all__ = [
    "after_canary",
    "after_promotion",
    "canary",
    "last_named",
    "pin",
    "promote",
    "remove_alias",
    "retire",
    "rollback",
    "rollback_target",
    "versions_before",
]


def promote(  # noqa: PLR0913, PLR0917 - what a promotion is made of
    store: Store,
    model: str,
    alias: str,
    version: str,
    operation: Operation,
    seen: Aliases | None = None,
    forced: tuple[str, ...] = (),
) -> AliasChange:
    """Let an alias name a version, and nothing else. Ends a canary.

    Raises:
        VersionRetired: The version was, or is being, deleted.
        AliasPinned: The alias is pinned.
        NothingToChange: It names just this version already.
        LambdaserveError: As `change_aliases`.
    """
    asked = Asked("promote", check_alias(alias), check_version(version))
    return change_aliases(store, model, operation, asked, partial(after_promotion, alias, version), seen, forced)


def canary(  # noqa: PLR0913, PLR0917 - what a canary is made of
    store: Store,
    model: str,
    alias: str,
    version: str,
    weight: int,
    operation: Operation,
    seen: Aliases | None = None,
    forced: tuple[str, ...] = (),
) -> AliasChange:
    """Let a version have `weight` percent (1 to 99) of the requests to an alias, beside the one that it names.

    Raises:
        ModelNotFound: There is no such alias yet.
        LambdaserveError: As `promote`.
    """
    asked = Asked("canary", check_alias(alias), check_version(version), weight)
    return change_aliases(store, model, operation, asked, partial(after_canary, alias, version, weight), seen, forced)


def rollback(store: Store, model: str, alias: str, operation: Operation, seen: Aliases | None = None) -> AliasChange:
    """Let an alias name what the history says that it named before; where it has a canary, end that.

    An alias that was removed names again what it named then.

    Raises:
        NothingToChange: The history knows nothing before it that still exists.
        LambdaserveError: As `promote`.
    """
    asked = Asked("rollback", check_alias(alias))
    return change_aliases(store, model, operation, asked, partial(_rolled_back, alias), seen)


def pin(store: Store, model: str, alias: str, operation: Operation, *, pinned: bool = True) -> AliasChange:
    """Keep an alias from being moved or removed, or allow it again.

    Raises:
        NothingToChange: It is so already.
        LambdaserveError: As `change_aliases`.
    """
    asked = Asked("pin" if pinned else "unpin", check_alias(alias))
    return change_aliases(store, model, operation, asked, partial(_pinned, alias, pinned))


def remove_alias(store: Store, model: str, alias: str, operation: Operation) -> AliasChange:
    """Let there be no such alias any more. Raises as `promote` does."""
    return change_aliases(store, model, operation, Asked("remove", check_alias(alias)), partial(_removed, alias))


def retire(
    store: Store, model: str, version: str, operation: Operation, check: Callable[[Aliases], None] | None = None
) -> AliasChange:
    """Take a version out of what aliases may name, for ever.

    Args:
        store: Where the model is.
        model: Its name.
        version: The version.
        operation: Who, and why.
        check: Refuses for reasons of its own, with aliases as they are when it is done.

    Raises:
        VersionInUse: An alias names it.
        NothingToChange: It is retired already.
        LambdaserveError: As `change_aliases`.
    """
    asked = Asked("retire", version=check_version(version))
    return change_aliases(store, model, operation, asked, partial(_retired, version, check))


def rollback_target(aliases: Aliases, alias: str) -> Alias | None:
    """Return what a rollback would let an alias name, None where the history knows nothing before."""
    present = last_named(aliases, alias)
    if present is None or (alias not in aliases.aliases and present.version in aliases.retired):
        present = alias_of(aliases, alias)
    if present.canary is not None or alias not in aliases.aliases:
        return Alias(version=present.version)
    before = versions_before(aliases, alias)
    return Alias(version=before[-1]) if before else None


def last_named(aliases: Aliases, alias: str) -> Alias | None:
    """Return what an alias names, or named when it was removed; None where there never was such an alias."""
    if (present := aliases.aliases.get(alias)) is not None:
        return present
    last = next((change for change in reversed(aliases.history) if change.alias == alias), None)
    return None if last is None else last.before


def versions_before(aliases: Aliases, alias: str) -> list[str]:
    """Return the versions that an alias named before, in the order in which rollbacks would go to them from the end.

    Each promotion goes on a pile and each rollback takes one off: rolling back twice goes two promotions back.
    Versions that were retired meanwhile are passed over.
    """
    present = alias_of(aliases, alias)
    pile: list[str] = []
    for change in aliases.history:
        if change.alias != alias:
            continue
        if change.after is None:
            pile.clear()
        elif change.action == "rollback":
            while pile and pile[-1] != change.after.version:
                pile.pop()
        elif not pile or pile[-1] != change.after.version:
            pile.append(change.after.version)
    return [version for version in pile[:-1] if version not in aliases.retired and version != present.version]


def after_promotion(alias: str, version: str, current: Aliases) -> Alias:
    """Return what a promotion would let an alias name, or refuse as `promote` does."""
    _check_not_retired(current, version)
    before = current.aliases.get(alias)
    _check_movable(alias, before)
    after = Alias(version=version)
    if before == after:
        raise _nothing_to_change(current, alias, f"names {version} already", "another version")
    return after


def after_canary(alias: str, version: str, weight: int, current: Aliases) -> Alias:
    """Return what a canary would let an alias name, or refuse as `canary` does."""
    _check_not_retired(current, version)
    before = alias_of(current, alias)
    _check_movable(alias, before)
    after = Alias(version=before.version, canary=version, weight=weight)
    if version == before.version or before == after:
        raise _nothing_to_change(current, alias, f"names {before} already", "another version or weight")
    return after


def _rolled_back(alias: str, current: Aliases) -> Alias:
    _check_movable(alias, current.aliases.get(alias))
    target = rollback_target(current, alias)
    if target is None:
        found = f"named nothing before {current.aliases[alias].version} that still exists"
        raise _nothing_to_change(current, alias, found, "an earlier version; promote the one that you want")
    return target


def _pinned(alias: str, pinned: bool, current: Aliases) -> Alias:  # noqa: FBT001 - bound by `partial`
    before = alias_of(current, alias)
    if before.pinned == pinned:
        raise _nothing_to_change(current, alias, f"{'' if pinned else 'not '}pinned", "otherwise")
    return Alias(version=before.version, canary=before.canary, weight=before.weight, pinned=pinned)


def _removed(alias: str, current: Aliases) -> None:
    _check_movable(alias, alias_of(current, alias))


def _retired(version: str, check: Callable[[Aliases], None] | None, current: Aliases) -> None:
    if version in current.retired:
        msg = f"model {current.model!r}: version {version} retired already, expected another one"
        raise NothingToChange(msg)
    names = current.naming(version)
    if names:
        msg = (
            f"model {current.model!r}: version {version} named by {', '.join(map(repr, names))}, expected no alias to "
            "name it; let them name another one first"
        )
        raise VersionInUse(msg)
    if check is not None:
        check(current)


def _check_not_retired(current: Aliases, version: str) -> None:
    if version in current.retired:
        msg = f"model {current.model!r}: version {version} retired, expected one that was not deleted"
        raise VersionRetired(msg)


def _check_movable(alias: str, before: Alias | None) -> None:
    if before is not None and before.pinned:
        msg = f"alias {alias!r}: {before}, expected one that is not pinned; unpin it first"
        raise AliasPinned(msg)


def _nothing_to_change(current: Aliases, alias: str, found: str, expected: str) -> NothingToChange:
    return NothingToChange(f"alias {alias!r} of {current.model!r}: {found}, expected {expected}")
