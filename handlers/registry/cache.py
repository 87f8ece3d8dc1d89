"""The models that are loaded: how much memory they take, who uses them, and which of them has to go."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from handlers.errors import InsufficientMemory
from handlers.memory import release_memory
from handlers.registry.loading import LoadedModel, LoadObserver

__all__ = ["ModelCache"]

_MB = 1024 * 1024
_PLENTY = 2**62  # bytes; where no budget is set


@dataclass
class _Place:
    """What is known of one model.

    Attributes:
        model: The version that is handed out, None before one is loaded.
        size_bytes: What it takes.
        coming_bytes: What is set aside for the version that is being loaded.
        gone: Versions that are not handed out any more, and that somebody may still use.
        gone_bytes: What those take.
        users: How many have one of its versions in hand.
        waiting: How many wait for it to be loaded; it is not to go before they have it.
        used: When it was last handed out, by a counter.
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
    """Loaded models within a budget of memory. Safe to use from several threads.

    A model that is held is never dropped. Of the others, what was used longest ago goes first; pinned ones stay.
    """

    def __init__(
        self, budget_bytes: int | None, pinned: Iterable[str], observer: LoadObserver, changed: threading.Condition
    ) -> None:
        """Start with nothing.

        Args:
            budget_bytes: What all models together may take; None: no limit.
            pinned: Names of models that stay.
            observer: Who is told of models that are dropped.
            changed: Guards this cache, and is notified of whatever happens to it.
        """
        self._budget_bytes = _PLENTY if budget_bytes is None else budget_bytes
        self._pinned = frozenset(pinned)
        self._observer = observer
        self._changed = changed
        self._places: dict[str, _Place] = {}
        self._uses = 0

    @property
    def loaded(self) -> list[LoadedModel]:
        """The models that are ready, sorted by name."""
        with self._changed:
            ready = [place.model for _, place in sorted(self._places.items())]
        return [model for model in ready if model is not None]

    def find(self, name: str) -> LoadedModel | None:
        """Return a model that is ready, None if there is none of that name."""
        place = self._places.get(name)
        return None if place is None else place.model

    def hold(self, name: str) -> None:
        """Keep a model that is ready from being dropped, until `release`."""
        with self._changed:
            place = self._places[name]
            place.users += 1
            self._uses += 1
            place.used = self._uses

    def release(self, name: str) -> None:
        """End what `hold` began. Versions that are not handed out any more go when nobody has any of the model's."""
        with self._changed:
            self._places[name].users -= 1
            dropped = self._take_gone(name)
            self._changed.notify_all()
        self._bury(dropped)

    def begin_wait(self, name: str) -> None:
        """Keep a model that is about to be loaded, once it is, from being dropped until `end_wait`."""
        with self._changed:
            self._place(name).waiting += 1

    def end_wait(self, name: str) -> None:
        """End what `begin_wait` began."""
        with self._changed:
            self._places[name].waiting -= 1
            self._tidy(name)
            self._changed.notify_all()

    def reserve(self, name: str, size_bytes: int) -> None:
        """Set memory aside for a version that is about to be opened, in place of what was set aside for it before.

        Others are dropped as need be. An older version of the model stays, unless both could never fit at a time.
        Waits for models that are in use or on their way; call it in a thread.

        Raises:
            InsufficientMemory: It does not fit, or not beside the models that are pinned.
        """
        self.cancel(name)
        while True:
            with self._changed:
                self._check_fit(name, size_bytes)
                place = self._place(name)
                fits_beside = place.size_bytes + size_bytes <= self._room_bytes(name)
                dropped = [] if fits_beside else self._retire(name)
                dropped += self._drop_until(size_bytes, spared=name)
                enough = self._left_bytes >= size_bytes
                if enough:
                    self._place(name).coming_bytes = size_bytes
                elif not dropped:
                    self._changed.wait()
            self._bury(dropped)
            if enough:
                return

    def cancel(self, name: str) -> None:
        """Give back what was set aside for a version that is not opened after all."""
        with self._changed:
            if (place := self._places.get(name)) is not None:
                place.coming_bytes = 0
                self._tidy(name)
                self._changed.notify_all()

    def put(self, model: LoadedModel) -> None:
        """Take in a model for which memory was set aside, in place of the version that was handed out so far."""
        with self._changed:
            dropped = self._retire(model.name)
            place = self._place(model.name)
            place.model, place.size_bytes, place.coming_bytes = model, place.coming_bytes, 0
            self._changed.notify_all()
        self._bury(dropped)

    def drop(self, name: str) -> None:
        """Let go of a model; one that is in use is not handed out any more, and goes when it is released."""
        with self._changed:
            dropped = self._retire(name)
        self._bury(dropped)

    def make_room(self, least_bytes: int) -> int:
        """Return how many bytes of the budget are left, after dropping idle models until it is that much, if can be."""
        with self._changed:
            dropped = self._drop_until(least_bytes)
            left = self._left_bytes
        self._bury(dropped)
        return left

    @property
    def _left_bytes(self) -> int:
        return self._budget_bytes - sum(place.all_bytes for place in self._places.values())

    def _place(self, name: str) -> _Place:
        return self._places.setdefault(name, _Place())

    def _pinned_beside(self, name: str) -> dict[str, int]:
        """Return what each of the other models takes that are pinned, by name."""
        sizes = {
            other: max(place.size_bytes, place.coming_bytes)
            for other, place in sorted(self._places.items())
            if other in self._pinned and other != name
        }
        return {other: size_bytes for other, size_bytes in sizes.items() if size_bytes}

    def _room_bytes(self, name: str) -> int:
        """Return what all versions of a model may take when every other model has gone that may."""
        return self._budget_bytes - sum(self._pinned_beside(name).values())

    def _check_fit(self, name: str, size_bytes: int) -> None:
        room = self._room_bytes(name)
        if size_bytes <= room:
            return
        pinned = self._pinned_beside(name)
        taken = f" beside the pinned models {', '.join(pinned)} ({_mb(sum(pinned.values()))})" if pinned else ""
        msg = (
            f"model {name!r}: needs {_mb(size_bytes)}, expected at most {_mb(max(0, room))}: models may take "
            f"{_mb(self._budget_bytes)}{taken}; give the function more memory, or raise LAMBDASERVE_MODEL_MEMORY_MB"
            f"{', or pin fewer models' if pinned else ''}"
        )
        raise InsufficientMemory(msg)

    def _drop_until(self, size_bytes: int, spared: str = "") -> list[LoadedModel]:
        """Take out idle models, longest unused first, until that much is left. The caller holds the lock."""
        dropped: list[LoadedModel] = []
        while self._left_bytes < size_bytes:
            idle = [
                (place.used, name)
                for name, place in self._places.items()
                if place.model is not None
                and not (place.users or place.waiting)
                and name not in self._pinned
                and name != spared
            ]
            if not idle:
                break
            dropped += self._retire(min(idle)[1])
        return dropped

    def _retire(self, name: str) -> list[LoadedModel]:
        """Hand a model out no more; return those that can be buried at once. The caller holds the lock."""
        place = self._places.get(name)
        if place is None or place.model is None:
            return []
        place.gone.append(place.model)
        place.gone_bytes += place.size_bytes
        place.model, place.size_bytes = None, 0
        self._changed.notify_all()
        return self._take_gone(name)

    def _take_gone(self, name: str) -> list[LoadedModel]:
        place = self._places[name]
        if place.users:
            return []
        gone, place.gone, place.gone_bytes = place.gone, [], 0
        self._tidy(name)
        return gone

    def _tidy(self, name: str) -> None:
        place = self._places[name]
        if place.model is None and not (place.all_bytes or place.gone or place.users or place.waiting):
            del self._places[name]

    def _bury(self, dropped: list[LoadedModel]) -> None:
        """Free the memory of models that were taken out. The list must be the last that refers to them."""
        if not dropped:
            return
        names = [(model.name, model.version) for model in dropped]
        dropped.clear()
        release_memory()
        for name, version in names:
            self._observer.model_dropped(name, version)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / _MB:.0f} MB"
