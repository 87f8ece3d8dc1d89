"""What is known of a model's aliases here: how requests are routed, what the store said last, and when it was asked."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from handlers.errors import LambdaserveError, ObjectNotFound
from handlers.registry.aliases import Aliases, decode_aliases, read_aliases
from handlers.registry.names import aliases_key
from handlers.registry.stores import Store

__all__ = ["Found", "Watch", "read_again"]


_LONGEST = 16
"""So many intervals between looks pass at most before what could not be loaded is tried again."""


@dataclass(frozen=True)
class Failed:
    """What could not be served, why, how long it is left alone for that, and until when, by `time.monotonic`."""

    found: "Found | None"
    problem: LambdaserveError
    rest_s: float
    until_s: float


@dataclass(frozen=True)
class Found:
    """Aliases as the store had them, under an etag; None: there was no such object."""

    aliases: Aliases
    etag: str | None


def read_again(store: Store, model: str, known: Found | None) -> Found:
    """Return a model's aliases, `known` itself where they are the same still. Raises as `read_aliases` does."""
    if known is None or known.etag is None:
        return Found(*read_aliases(store, model))
    try:
        changed = store.read_if_changed(aliases_key(model), known.etag)
    except ObjectNotFound:
        return Found(*read_aliases(store, model))
    return known if changed is None else Found(decode_aliases(changed, model), changed.etag)


@dataclass
class Watch:
    """Of one model. Whoever reads or changes it holds the lock of the models.

    Attributes:
        serving: How requests are routed; None: nobody has read it yet.
        newest: What the store said last. It is served when all is loaded that the aliases in use name there.
        used: The aliases that requests have come by.
        loading: The version that is being loaded to serve `newest`.
        brought: Versions that were to be loaded because aliases named them.
        read_at_s: When the store answered last, as `time.monotonic` counts.
        due_at_s: When it is to be asked again, beside a request.
        replaced: How requests were routed before versions had to go to make room for those of `newest`.
        failed: What could not be loaded of `newest`, or of what was `newest` before.
        unchecked: Whether this came with a snapshot: nothing is handed out before the store has been asked again.
    """

    serving: Aliases | None = None
    newest: Found | None = None
    used: set[str] = field(default_factory=set)
    loading: str | None = None
    brought: set[str] = field(default_factory=set)
    read_at_s: float = float("-inf")
    due_at_s: float = float("inf")
    replaced: Aliases | None = None
    failed: Failed | None = None
    unchecked: bool = False

    @property
    def settled(self) -> bool:
        """Whether requests are routed as the store said last."""
        return self.newest is not None and self.serving is self.newest.aliases

    def note(self, found: Found, again_after_s: float) -> None:
        """Take note of what the store has just said, and when to ask it again."""
        self.newest = found
        self.read_at_s = time.monotonic()
        self.due_at_s = self.read_at_s + again_after_s

    def fail(self, problem: LambdaserveError, check_s: float) -> None:
        """Take note that `newest` cannot be served: twice as long as the last time is to pass before it is tried."""
        rest_s = check_s
        if self.failed is not None and self.failed.found is self.newest:
            rest_s = min(2 * self.failed.rest_s, _LONGEST * check_s)
        self.failed = Failed(self.newest, problem, rest_s, time.monotonic() + rest_s)

    @property
    def resting(self) -> LambdaserveError | None:
        """Why `newest` is to be left alone for now; None: it is not. What the store has changed is tried at once."""
        failed = self.failed
        if failed is None or failed.found is not self.newest or time.monotonic() >= failed.until_s:
            return None
        return failed.problem

    def needed(self, aliases: Aliases | None) -> list[str]:
        """Return the versions that the aliases in use name there, what most requests get first."""
        if aliases is None:
            return []
        named = [aliases.aliases[name] for name in sorted(self.used) if name in aliases.aliases]
        versions = [alias.version for alias in named] + [alias.canary for alias in named if alias.canary]
        return list(dict.fromkeys(versions))

    @property
    def leaving(self) -> list[str]:
        """The versions that go when `newest` is served; not those that were asked for by their numbers."""
        if self.newest is None:
            return []
        going = self.brought.union(self.needed(self.serving)).difference(self.needed(self.newest.aliases))
        return sorted(going, key=int)

    def forget_unused(self, loaded: Iterable[str]) -> None:
        """Take those aliases for unused of which no version is loaded any more: requests come again, or do not."""
        if self.serving is not None:
            kept, known = set(loaded), self.serving.aliases
            self.used = {name for name in self.used if name in known and not kept.isdisjoint(known[name].versions)}

    def switch(self) -> list[tuple[str, str, str]]:
        """Route requests as `newest` says, and return which aliases in use have moved: name, from what, to what."""
        self.unchecked = False
        return self.route(self.newest.aliases if self.newest else None)

    def route(self, aliases: Aliases | None) -> list[tuple[str, str, str]]:
        """Route requests as these say. Returns what `switch` does."""
        before, self.serving = self.serving, aliases
        if before is None or self.serving is None or before is self.serving:
            return []
        pairs = [(name, before.aliases.get(name), self.serving.aliases.get(name)) for name in sorted(self.used)]
        return [
            (name, str(old), str(new))
            for name, old, new in pairs
            if old and new and (old.versions, old.weight) != (new.versions, new.weight)
        ]
