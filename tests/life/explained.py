"""Whether what processes wrote down and what the store holds tell the same story."""

from collections import Counter
from collections.abc import Iterator

from handlers.registry.aliases import read_aliases
from handlers.registry.stores import Store
from tests.life.journal import TRIED, Entry
from tests.life.processes import CRASHED

__all__ = ["unexplained"]

CHANGES = {kind: kind for kind in ("promote", "canary", "rollback", "pin", "unpin", "remove")} | {"delete": "retire"}
"""Kinds of operations each of which is one change in the history, and the action of that."""


def unexplained(store: Store, model: str, entries: list[Entry]) -> Iterator[str]:
    """Yield what was acknowledged and is not there, and what is there and nobody tried."""
    history = read_aliases(store, model)[0].history
    tried = {entry.id: entry.kind for entry in entries if entry.outcome == TRIED}
    actions = {change.id: change.action for change in history}
    for entry in entries:
        if entry.outcome.startswith(CRASHED):
            yield f"{entry.kind}: {entry.outcome}"
        if entry.outcome == "done" and entry.kind in CHANGES and actions.get(entry.id) != CHANGES[entry.kind]:
            yield f"operation {entry.id}: {entry.kind} acknowledged, {actions.get(entry.id)} in the history"
    for change in history:
        if change.id not in tried and tried.get(change.id.partition("-")[0]) != "collect":  # `-` and the version
            yield f"operation {change.id}: {change.action} in the history, tried by nobody"
    numbers = Counter(entry.version for entry in entries if entry.outcome == "done" and entry.version is not None)
    yield from (f"version {number}: published {count} times" for number, count in numbers.items() if count > 1)
