"""The one way to change what aliases name: compare-and-swap on one object, with an entry in its history.

Two operators at once: one gets through, and the other is told what changed meanwhile, unless that was other aliases.
No entry is ever taken out, so that the id of an operation tells whether it happened, also when its answer got lost.
"""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from handlers.errors import (
    AliasChanged,
    LambdaserveError,
    ObjectChanged,
    ObjectExists,
    OperationReused,
    StoreUnavailable,
)
from handlers.registry.aliases import Action, Alias, AliasChange, Aliases, read_aliases
from handlers.registry.names import aliases_key
from handlers.registry.sealed import seal
from handlers.registry.stores import Store

__all__ = ["Asked", "Operation", "apply_change", "change_aliases", "find_change"]

_ATTEMPTS = 100  # each failed one means that another writer got through
_LONGEST_PAUSE_S = 0.25


@dataclass(frozen=True)
class Operation:
    """Who changes something, and why. `id`: the same operation, asked for again, is not done twice."""

    by: str
    reason: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Asked:
    """What an operation asks for: what is done to which alias, with which version as far as the operator names one."""

    action: Action
    alias: str | None = None
    version: str | None = None
    weight: int = 0

    def is_what(self, change: AliasChange) -> bool:
        """Tell whether a change is what this asks for."""
        named = change.after or Alias(version=change.version or "1")
        versions = (None, change.version, named.canary or named.version)
        same = (change.action, change.alias) == (self.action, self.alias)
        return same and self.version in versions and self.weight in (0, named.weight)


def change_aliases(  # noqa: PLR0913, PLR0917 - what a change is made of
    store: Store,
    model: str,
    operation: Operation,
    asked: Asked,
    decide: Callable[[Aliases], Alias | None],
    seen: Aliases | None = None,
    forced: tuple[str, ...] = (),
) -> AliasChange:
    """Change one alias of a model, or retire a version, and return the entry in the history.

    Args:
        store: Where the model is.
        model: Its name.
        operation: Who, why, and under which id. Where the history holds it already, nothing is done.
        asked: What to do.
        decide: Returns what the alias is to name, None for nothing, with aliases as they are; or refuses.
        seen: The aliases on which the decision to change them rests; None: as they are now.
        forced: What stood against it.

    Raises:
        AliasChanged: Others changed the alias since it was seen.
        OperationReused: The history holds another change under this id.
        ChangeRefused: Whatever `decide` refuses.
        StoreUnavailable: The store could not be asked, or too many others changed the aliases at the same time.
        LambdaserveError: As `read_aliases`.
    """
    key = aliases_key(model)
    for attempt in range(_ATTEMPTS):
        current, etag = read_aliases(store, model)
        if (done := find_change(current, operation.id, asked)) is not None:
            return done
        seen = seen or current
        _check_unchanged(seen, current, asked.alias)
        change = _entry(current, operation, asked, decide(current), forced)
        data = seal(apply_change(current, change))
        try:
            if etag is None:
                store.create(key, data)
            else:
                store.replace(key, data, etag)
        except (ObjectExists, ObjectChanged):
            time.sleep(random.random() * min(_LONGEST_PAUSE_S, 0.005 * 2 ** min(attempt, 10)))  # noqa: S311 - no secret
            continue
        except StoreUnavailable as error:
            return _find_out(store, model, operation, asked, error)
        return change
    msg = f"{key}: changed by others {_ATTEMPTS} times in a row, expected a quiet moment; try again"
    raise StoreUnavailable(msg)


def apply_change(current: Aliases, change: AliasChange) -> Aliases:
    """Return the aliases after a change: what its entry in the history says is all there is to it."""
    aliases = dict(current.aliases)
    if change.alias is not None:
        if change.after is None:
            aliases.pop(change.alias, None)
        else:
            aliases[change.alias] = change.after
    retired = current.retired if change.version is None else (*current.retired, change.version)
    return msgspec.structs.replace(current, aliases=aliases, retired=retired, history=(*current.history, change))


def find_change(current: Aliases, operation_id: str, asked: Asked) -> AliasChange | None:
    """Return what an operation did, None where it did not happen.

    Raises:
        OperationReused: It did something else.
    """
    done = next((change for change in reversed(current.history) if change.id == operation_id), None)
    if done is not None and not asked.is_what(done):
        msg = f"operation {operation_id!r}: {describe(done)} already, expected a new id for anything else"
        raise OperationReused(msg)
    return done


def describe(change: AliasChange) -> str:
    """Say what a change did, in the past tense, for errors and tables."""
    subject = f"alias {change.alias!r}" if change.alias else f"version {change.version}"
    moved = f" from {change.before or 'nothing'} to {change.after or 'nothing'}" if change.alias else ""
    return f"{change.by} at {change.at}: {change.action} {subject}{moved}"


def _entry(
    current: Aliases, operation: Operation, asked: Asked, after: Alias | None, forced: tuple[str, ...]
) -> AliasChange:
    return AliasChange(
        id=operation.id,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=operation.by,
        action=asked.action,
        alias=asked.alias,
        before=None if asked.alias is None else current.aliases.get(asked.alias),
        after=after,
        version=asked.version if asked.alias is None else None,
        reason=operation.reason,
        forced=forced,
    )


def _check_unchanged(seen: Aliases, current: Aliases, alias: str | None) -> None:
    """Refuse where others changed the alias meanwhile, also where they changed it back."""
    news = [change for change in current.history[len(seen.history) :] if change.alias == alias]
    if alias is None or not news:
        return
    msg = (
        f"alias {alias!r} of {current.model!r}: changed meanwhile ({'; '.join(map(describe, news))}), expected "
        f"{seen.aliases.get(alias) or 'none'}; look at it and try again"
    )
    raise AliasChanged(msg)


def _find_out(store: Store, model: str, operation: Operation, asked: Asked, error: StoreUnavailable) -> AliasChange:
    """Return the change if it was written although no answer came; else raise, and say how to find out later."""
    advice = f"operation {operation.id} may have happened; ask again with this id to know"
    try:
        done = find_change(read_aliases(store, model)[0], operation.id, asked)
    except LambdaserveError:
        done = None
    else:
        advice = f"operation {operation.id} has not happened so far; ask again with this id"
    if done is None:
        msg = f"{error}; {advice}"
        raise StoreUnavailable(msg) from error
    return done
