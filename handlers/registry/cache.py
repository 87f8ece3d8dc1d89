"""The versions that are loaded: how much memory they take, who uses them, and which of them has to go."""

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from handlers.errors import InsufficientMemory
from handlers.memory import release_memory
from handlers.registry.loading import LoadedModel, LoadObserver

__all__ = ["Key", "ModelCache"]

Key = tuple[str, str]
"""A model's name, and a version of it."""

_MB = 1024 * 1024
_PLENTY = 2**62  # bytes; where no budget is set


@dataclass
class _Place:
    """What is known of one version of a model.

    Attributes:
        model: What is handed out, None before it is loaded.
        size_bytes: What it takes.
        coming_bytes: What is set aside for it while it is being loaded.
        gone: What is not handed out any more, and somebody may still use.
        gone_bytes: What that takes.
        users: How many have it in hand.
        waiting: How many wait for it to be loaded; it is not to go before they have it.
        used: When it was loaded or last handed out, by a counter.
    """

    model: LoadedModel | None = None
    size_bytes: int = 0
    coming_bytes: int = 0
    gone: list[LoadedModel] = field(default_factory=list)
    gone_bytes: int = 0
    users: int = 0
    waiting: int = 0
    used: int = 0

    @property
    def all_bytes(self) -> int:
        return self.size_bytes + self.coming_bytes + self.gone_bytes


class ModelCache:
    """Loaded versions within a budget of memory. Safe to use from several threads.

    One that is held is never dropped. Of the others, what was used longest ago goes first; pinned ones stay.
    """

    def __init__(
        self,
        budget_bytes: int | None,
        is_pinned: Callable[[Key], bool],
        observer: LoadObserver,
        changed: threading.Condition,
    ) -> None:
        """Start with nothing.

        Args:
            budget_bytes: What all of them together may take; None: no limit.
            is_pinned: Tells whether a version stays.
            observer: Who is told of those that are dropped.
            changed: Guards this cache, and is notified of whatever happens to it.
        """
        self._budget_bytes = _PLENTY if budget_bytes is None else budget_bytes
        self._is_pinned = is_pinned
        self._observer = observer
        self._changed = changed
        self._places: dict[Key, _Place] = {}
        self._uses = 0

    @property
    def loaded(self) -> list[LoadedModel]:
        """What is ready, sorted by name and version."""
        with self._changed:
            ready = [place.model for place in self._places.values() if place.model is not None]
        return sorted(ready, key=lambda model: (model.name, int(model.version)))

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model that are ready, in order."""
        return [model.version for model in self.loaded if model.name == name]

    def find(self, key: Key) -> LoadedModel | None:
        """Return a version that is ready, None if it is not."""
        place = self._places.get(key)
        return None if place is None else place.model

    def hold(self, key: Key) -> None:
        """Keep a version that is ready from being dropped, until `release`."""
        with self._changed:
            place = self._places[key]
            place.users += 1
            self._touch(place)

    def release(self, key: Key) -> None:
        """End what `hold` began. What is not handed out any more goes when nobody has it."""
        with self._changed:
            self._places[key].users -= 1
            dropped = self._take_gone(key)
            self._changed.notify_all()
        self._bury(dropped)

    def begin_wait(self, key: Key) -> None:
        """Keep a version that is about to be loaded, once it is, from being dropped until `end_wait`."""
        with self._changed:
            self._place(key).waiting += 1

    def end_wait(self, key: Key) -> None:
        """End what `begin_wait` began."""
        with self._changed:
            self._places[key].waiting -= 1
            self._tidy(key)
            self._changed.notify_all()

    def reserve(self, key: Key, size_bytes: int, instead_of: Collection[Key] = ()) -> None:
        """Set memory aside for a version that is about to be opened, in place of what was set aside for it before.

        Others are dropped as need be. Those whose place it is to take stay, unless they could never fit beside it.
        Waits for versions that are in use or on their way; call it in a thread.

        Raises:
            InsufficientMemory: It does not fit, or not beside those that are pinned.
        """
        self.cancel(key)
        spared = {key, *instead_of}
        while True:
            with self._changed:
                room = self._check_fit(key, size_bytes, spared)
                before = sum(self._places[other].size_bytes for other in instead_of if other in self._places)
                dropped: list[LoadedModel] = []
                if before + size_bytes > room:
                    for other in instead_of:
                        dropped += self._retire(other)
                dropped += self._drop_until(size_bytes, spared)
                enough = self._left_bytes >= size_bytes
                if enough:
                    self._place(key).coming_bytes = size_bytes
                elif not dropped:
                    self._changed.wait()
            self._bury(dropped)
            if enough:
                return

    def cancel(self, key: Key) -> None:
        """Give back what was set aside for a version that is not opened after all."""
        with self._changed:
            if (place := self._places.get(key)) is not None:
                place.coming_bytes = 0
                self._tidy(key)
                self._changed.notify_all()

    def put(self, model: LoadedModel) -> None:
        """Take in a version for which memory was set aside."""
        with self._changed:
            place = self._place((model.name, model.version))
            place.model, place.size_bytes, place.coming_bytes = model, place.coming_bytes, 0
            self._touch(place)
            self._changed.notify_all()

    def drop(self, *keys: Key) -> None:
        """Let go of versions; one that is in use is not handed out any more, and goes when it is released."""
        with self._changed:
            dropped = [model for key in keys for model in self._retire(key)]
        self._bury(dropped)

    def make_room(self, least_bytes: int) -> int:
        """Return how many bytes of the budget are left, after dropping idle ones until it is that much, if can be."""
        with self._changed:
            dropped = self._drop_until(least_bytes)
            left = self._left_bytes
        self._bury(dropped)
        return left

    @property
    def _left_bytes(self) -> int:
        return self._budget_bytes - sum(place.all_bytes for place in self._places.values())

    def _place(self, key: Key) -> _Place:
        return self._places.setdefault(key, _Place())

    def _touch(self, place: _Place) -> None:
        self._uses += 1
        place.used = self._uses

    def _check_fit(self, key: Key, size_bytes: int, spared: Collection[Key]) -> int:
        """Return what a version may take, together with those whose place it takes, when all others are gone that may.

        Raises InsufficientMemory where that is too little for it alone.
        """
        pinned: dict[str, int] = {}
        for other, place in sorted(self._places.items()):
            size = max(place.size_bytes, place.coming_bytes)
            if size and other not in spared and self._is_pinned(other):
                pinned[other[0]] = pinned.get(other[0], 0) + size
        room = self._budget_bytes - sum(pinned.values())
        if size_bytes <= room:
            return room
        taken = f" beside the pinned models {', '.join(pinned)} ({_mb(sum(pinned.values()))})" if pinned else ""
        msg = (
            f"model {key[0]!r}: needs {_mb(size_bytes)}, expected at most {_mb(max(0, room))}: models may take "
            f"{_mb(self._budget_bytes)}{taken}; give the function more memory, or raise LAMBDASERVE_MODEL_MEMORY_MB"
            f"{', or pin fewer models' if pinned else ''}"
        )
        raise InsufficientMemory(msg)

    def _drop_until(self, size_bytes: int, spared: Collection[Key] = ()) -> list[LoadedModel]:
        """Take out idle versions, longest unused first, until that much is left. The caller holds the lock."""
        dropped: list[LoadedModel] = []
        while self._left_bytes < size_bytes:
            idle = [
                (place.used, key)
                for key, place in self._places.items()
                if place.model is not None
                and not (place.users or place.waiting)
                and key not in spared
                and not self._is_pinned(key)
            ]
            if not idle:
                break
            dropped += self._retire(min(idle)[1])
        return dropped

    def _retire(self, key: Key) -> list[LoadedModel]:
        """Hand a version out no more; return what can be buried at once. The caller holds the lock."""
        place = self._places.get(key)
        if place is None or place.model is None:
            return []
        place.gone.append(place.model)
        place.gone_bytes += place.size_bytes
        place.model, place.size_bytes = None, 0
        self._changed.notify_all()
        return self._take_gone(key)

    def _take_gone(self, key: Key) -> list[LoadedModel]:
        place = self._places[key]
        if place.users:
            return []
        gone, place.gone, place.gone_bytes = place.gone, [], 0
        self._tidy(key)
        return gone

    def _tidy(self, key: Key) -> None:
        place = self._places[key]
        if place.model is None and not (place.all_bytes or place.gone or place.users or place.waiting):
            del self._places[key]

    def _bury(self, dropped: list[LoadedModel]) -> None:
        """Free the memory of what was taken out. The list must be the last that refers to it."""
        if not dropped:
            return
        names = [(model.name, model.version) for model in dropped]
        dropped.clear()
        release_memory()
        for name, version in names:
            self._observer.model_dropped(name, version)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / _MB:.0f} MB"
