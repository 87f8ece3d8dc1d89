"""What is done to a model at random: each operation refuses, succeeds, or is killed halfway."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from export.progress import Progress
from export.publish import publish
from handlers.registry.fetch import fetch_manifest
from handlers.registry.names import versions_prefix
from handlers.registry.stores import Store
from handlers.versions.aliasing import canary, pin, promote, remove_alias, rollback
from handlers.versions.changes import Operation

__all__ = ["MODEL", "OPERATIONS", "Hand"]

MODEL = "m"
ALIASES = ("live", "live", "canary", "next")
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


def _publish(hand: Hand, _: Operation) -> str:
    progress = Progress(Console(file=io.StringIO()))
    return publish(hand.chance.choice(hand.artifacts), hand.store, None, progress).version


def _promote(hand: Hand, operation: Operation) -> None:
    promote(hand.store, MODEL, hand.pick_alias(), hand.pick_complete(), operation)


def _canary(hand: Hand, operation: Operation) -> None:
    canary(hand.store, MODEL, hand.pick_alias(), hand.pick_complete(), hand.chance.randint(1, 99), operation)


def _rollback(hand: Hand, operation: Operation) -> None:
    rollback(hand.store, MODEL, hand.pick_alias(), operation)


def _pin(hand: Hand, operation: Operation) -> None:
    pin(hand.store, MODEL, hand.pick_alias(), operation)


def _unpin(hand: Hand, operation: Operation) -> None:
    pin(hand.store, MODEL, hand.pick_alias(), operation, pinned=False)


def _remove(hand: Hand, operation: Operation) -> None:
    remove_alias(hand.store, MODEL, hand.chance.choice(ALIASES[2:]), operation)


OPERATIONS: dict[str, tuple[int, Callable[[Hand, Operation], str | None]]] = {
    "publish": (25, _publish),
    "promote": (25, _promote),
    "canary": (12, _canary),
    "rollback": (12, _rollback),
    "pin": (3, _pin),
    "unpin": (8, _unpin),
    "remove": (3, _remove),
}
"""How often each is done, of all their sum, and how. They return the version that they made, if any."""
