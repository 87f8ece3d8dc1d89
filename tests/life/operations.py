"""What is done to a model at random: each operation refuses, succeeds, or is killed halfway."""

import io
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from export.progress import Progress
from export.publish import Published, publish
from handlers.registry.aliases import AliasChange
from handlers.registry.fetch import fetch_manifest
from handlers.registry.names import versions_prefix
from handlers.registry.stores import Store
from handlers.versions.aliasing import canary, pin, promote, remove_alias, rollback
from handlers.versions.changes import Operation
from handlers.versions.collection import Retention, collect, plan_collection
from handlers.versions.removal import delete_version

__all__ = ["MODEL", "OPERATIONS", "Hand", "collect_all"]

MODEL = "m"
ALIASES = ("live", "live", "canary", "next")
AHEAD_S = 60
"""How far the clock of who collects is ahead: S3 tells when objects were written in whole seconds."""

_NEWEST = 12  # versions, of which operators mean one; older ones are rarely of interest


@dataclass(frozen=True)
class Hand:
    """Who does it: a store, a source of chance, and artifacts to publish."""

    store: Store
    chance: random.Random
    artifacts: list[Path]

    def pick_alias(self) -> str:
        return self.chance.choice(ALIASES)

    def pick_version(self) -> str:
        """Return one of the newest versions, complete or not; 1 where there is none."""
        numbers = sorted(int(name) for name in self.store.list_folders(versions_prefix(MODEL)))
        return str(self.chance.choice(numbers[-_NEWEST:] or [1]))

    def pick_complete(self) -> str:
        """Return such a version, or raise VersionNotFound or CorruptFile where it is not complete."""
        version = self.pick_version()
        fetch_manifest(self.store, MODEL, version)
        return version


def _publish(hand: Hand, _: Operation) -> Published:
    progress = Progress(Console(file=io.StringIO()))
    return publish(hand.chance.choice(hand.artifacts), hand.store, None, progress)


def _promote(hand: Hand, operation: Operation) -> AliasChange:
    return promote(hand.store, MODEL, hand.pick_alias(), hand.pick_complete(), operation)


def _canary(hand: Hand, operation: Operation) -> AliasChange:
    return canary(hand.store, MODEL, hand.pick_alias(), hand.pick_complete(), hand.chance.randint(1, 99), operation)


def _rollback(hand: Hand, operation: Operation) -> AliasChange:
    return rollback(hand.store, MODEL, hand.pick_alias(), operation)


def _pin(hand: Hand, operation: Operation) -> AliasChange:
    return pin(hand.store, MODEL, hand.pick_alias(), operation)


def _unpin(hand: Hand, operation: Operation) -> AliasChange:
    return pin(hand.store, MODEL, hand.pick_alias(), operation, pinned=False)


def _remove(hand: Hand, operation: Operation) -> AliasChange:
    return remove_alias(hand.store, MODEL, hand.chance.choice(ALIASES[2:]), operation)


def _delete(hand: Hand, operation: Operation) -> AliasChange:
    return delete_version(hand.store, MODEL, hand.pick_version(), operation)


def _collect(hand: Hand, operation: Operation) -> None:
    collect_all(hand.store, operation, keep=hand.chance.choice((0, 3, 10)))


def collect_all(store: Store, operation: Operation, keep: int) -> None:
    """Collect all that nobody needs, but the newest few, as if it were old: what is being published, too."""
    plan = plan_collection(store, MODEL, Retention(keep, min_age_days=0, claim_hours=0), time.time() + AHEAD_S)
    collect(store, plan, operation)


OPERATIONS: dict[str, tuple[int, Callable[[Hand, Operation], AliasChange | Published | None]]] = {
    "publish": (15, _publish),
    "promote": (25, _promote),
    "canary": (12, _canary),
    "rollback": (12, _rollback),
    "pin": (4, _pin),
    "unpin": (8, _unpin),
    "remove": (3, _remove),
    "delete": (6, _delete),
    "collect": (2, _collect),
}
"""How often each is done, of all their sum, and how. They return the change or the version that was made, if any."""
