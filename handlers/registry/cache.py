"""The models that are loaded: how much memory they take, who uses them, and which of them has to go."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from handlers.errors import InsufficientMemory
from handlers.memory import release_memory
from handlers.registry.loading import LoadedModel, LoadObserver

__all__ = ["ModelCache"]

_MB = 1024 * 1024
_PLENTY = 2**62  # bytes; where no budget is set


@dataclass
class _Place:
    """What is known of one model: what it takes, from before it is opened, and itself once it is."""

    size_bytes: int = 0
    model: LoadedModel | None = None
    users: int = 0
    used: int = 0
    leaving: bool = False


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
            ready = [place.model for _, place in sorted(self._places.items()) if not place.leaving]
        return [model for model in ready if model is not None]

    def find(self, name: str) -> LoadedModel | None:
        """Return a model that is ready, None if there is none of that name."""
        place = self._places.get(name)
        return None if place is None or place.leaving else place.model

    def hold(self, name: str) -> None:
        """Keep a model from being dropped, from before it is loaded if need be, until `release`."""
        with self._changed:
            place = self._places.setdefault(name, _Place())
            place.users += 1
            self._uses += 1
            place.used = self._uses

    def release(self, name: str) -> None:
        """End what `hold` began."""
        with self._changed:
            place = self._places[name]
            place.users -= 1
            leaving = place.leaving and not place.users
            self._changed.notify_all()
        if leaving:
            self.drop(name)

    def reserve(self, name: str, size_bytes: int) -> None:
        """Set memory aside for a model that is about to be opened, in place of what was set aside for it before.

        Others are dropped as need be. Waits for models that are in use or on their way; call it in a thread.

        Raises:
            InsufficientMemory: It does not fit, or not beside the models that are pinned.
        """
        dropped = []
        with self._changed:
            place = self._places.setdefault(name, _Place())
            place.size_bytes = 0
            while True:
                self._check_fit(name, size_bytes)
                dropped += self._drop_until(size_bytes)
                if self._left_bytes >= size_bytes:
                    break
                self._changed.wait()
            place.size_bytes = size_bytes
        self._bury(dropped)

    def put(self, model: LoadedModel) -> None:
        """Take in a model for which memory was set aside."""
        with self._changed:
            place = self._places[model.name]
            place.model, place.leaving = model, False
            self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Let go of a model, or of what was set aside for it; one that is in use goes when it is not any more."""
        with self._changed:
            place = self._places.get(name)
            if place is None:
                return
            place.leaving = place.model is not None
            dropped = [] if place.leaving and place.users else self._take_out(name)
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
        return self._budget_bytes - sum(place.size_bytes for place in self._places.values())

    def _check_fit(self, name: str, size_bytes: int) -> None:
        pinned = {
            other: place.size_bytes
            for other, place in sorted(self._places.items())
            if other in self._pinned and other != name and place.size_bytes
        }
        room = self._budget_bytes - sum(pinned.values())
        if size_bytes <= room:
            return
        taken = f" beside the pinned models {', '.join(pinned)} ({_mb(sum(pinned.values()))})" if pinned else ""
        msg = (
            f"model {name!r}: needs {_mb(size_bytes)}, expected at most {_mb(max(0, room))}: models may take "
            f"{_mb(self._budget_bytes)}{taken}; give the function more memory, or raise LAMBDASERVE_MODEL_MEMORY_MB"
            f"{', or pin fewer models' if pinned else ''}"
        )
        raise InsufficientMemory(msg)

    def _drop_until(self, size_bytes: int) -> list[LoadedModel]:
        """Take out idle models, longest unused first, until that much is left. The caller holds the lock."""
        dropped: list[LoadedModel] = []
        while self._left_bytes < size_bytes:
            idle = [
                (place.used, name)
                for name, place in self._places.items()
                if place.model is not None and not place.users and name not in self._pinned
            ]
            if not idle:
                break
            dropped += self._take_out(min(idle)[1])
        return dropped

    def _take_out(self, name: str) -> list[LoadedModel]:
        place = self._places[name]
        model = place.model
        if place.users:
            place.model, place.size_bytes = None, 0
        else:
            del self._places[name]
        self._changed.notify_all()
        return [] if model is None else [model]

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
