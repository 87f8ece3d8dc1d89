"""The models of one process: found by name, loaded when a request needs them, tried again where that failed."""

import threading
import time
from collections.abc import Iterable
from functools import partial

from handlers.errors import LambdaserveError, ModelNotReady, NotSupported, VersionNotFound
from handlers.memory import release_memory
from handlers.registry.aliases import find_alias
from handlers.registry.background import Background
from handlers.registry.cache import ModelCache
from handlers.registry.loading import LoadedModel, LoadObserver, load_model
from handlers.registry.packing import Packing
from handlers.registry.served import ServedModels
from handlers.registry.states import ModelState, not_served, public_reason, still_loading, why_not_ready
from handlers.registry.stores import Store, open_store
from handlers.settings import Settings
from handlers.timeline import Timeline

__all__ = ["ModelState", "Models"]

_START = ""
"""The job that reads the store and begins to load what is to be there at the start; the others have names of models."""


class Models:
    """Loads models, each in a thread of its own, and hands them out. Safe to use from several threads.

    At the start those are loaded that are pinned, or the one that is served alone; any other when it is asked for.
    Loading in the background never raises. What could not be loaded is tried again by the next call that needs it.

    Attributes:
        timeline: When the phases of loading were, of all models.
    """

    def __init__(
        self, settings: Settings, observer: LoadObserver, timeline: Timeline | None = None, store: Store | None = None
    ) -> None:
        """Begin nothing yet. `store` is that of the settings, where it is open already."""
        self.timeline = timeline or Timeline()
        self._settings = settings
        self._observer = observer
        self._changed = threading.Condition()
        self._cache = ModelCache(settings.model_memory_bytes, settings.pinned, observer, self._changed)
        self._served = ServedModels(settings)
        self._background = Background(self._changed, observer.load_failed)
        self._opening = threading.Lock()
        self._store = store
        self._started = False
        self._awaited: set[str] = set()
        self._away: set[str] = set()
        self._unchecked: set[str] = set()

    @property
    def loaded(self) -> list[LoadedModel]:
        """The models that are ready, sorted by name."""
        return [model for model in self._cache.loaded if model.name not in self._unchecked]

    @property
    def complete(self) -> bool:
        """Whether the store could be read and every model was loaded that is to be at the start."""
        return self._started and not self._awaited

    def index(self) -> list[ModelState]:
        """Return how it stands with each model that is served, sorted by name. Does not ask the store."""
        with self._changed:
            return [self._state_of(name) for name in self._served.names]

    def start(self) -> None:
        """Begin to load, in the background, what is to be loaded at the start. Does nothing while under way or done."""
        if not self.complete:
            self._background.start(_START, self._load_at_start)

    def wait(self, timeout_s: float) -> bool:
        """Wait until loading at the start has ended, well or not; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._background.is_running(_START, *self._awaited), timeout_s)

    def await_all(self, timeout_s: float) -> None:
        """Return when every model is ready that is loaded at the start. If that has failed before, it is tried again.

        Raises:
            ModelNotReady: One is not, or the store cannot be read, with the reason.
        """
        self.start()
        if not self.wait(timeout_s):
            raise still_loading(timeout_s)
        if not self.complete:
            problems = self._background.problems
            found = [
                public_reason(name, problems[name]) for name in (_START, *sorted(self._awaited)) if name in problems
            ]
            raise ModelNotReady("; ".join(found) or str(still_loading(timeout_s)))

    def suspend(self, timeout_s: float) -> list[ModelState]:
        """Prepare for a snapshot: load what is loaded at the start, let go of the store, hand nothing out any more.

        In each process that is made of the snapshot, a model is handed out again once its alias has been read there: it
        may name another version by then. `resume` sees to it, and so does whoever asks for the model. Returns what was
        loaded.

        Raises:
            ModelNotReady: As `await_all`.
        """
        self.await_all(timeout_s)
        with self._opening:
            self._store = None  # its connections will be dead and its credentials old
        with self._changed:
            loaded = [self._state_of(model.name) for model in self._cache.loaded]
            self._unchecked = {model.name for model in loaded}
            self._awaited |= self._unchecked
        release_memory()  # closes what has been let go of, and makes the snapshot smaller
        return loaded

    def resume(self, timeout_s: float) -> list[ModelState]:
        """Read the aliases of all that came with the snapshot, and load what they name by now.

        Returns, after `timeout_s` at the latest, how it stands with them; what is not done by then goes on.
        """
        self._served.forget_when_read()
        with self._changed:
            names = sorted(self._unchecked)
        self._begin(names)
        self.wait(timeout_s)
        with self._changed:
            return [self._state_of(name) for name in names]

    def find(self, name: str, version: str | None = None) -> LoadedModel | None:
        """Return a model that is ready, None if there is none of that name.

        Raises:
            VersionNotFound: Another version of it is served.
        """
        model = self._ready(name)
        if model is not None and version not in (None, model.version):
            msg = f"model {name!r}: no version {str(version)[:80]!r} here, expected {model.version!r}"
            raise VersionNotFound(msg)
        return model

    def hold(self, name: str, version: str | None = None) -> LoadedModel | None:
        """Return what `find` does; it stays until `release`, however much others need its memory."""
        with self._changed:
            model = self.find(name, version)
            if model is not None:
                self._cache.hold(name)
            return model

    def await_and_hold(self, name: str, version: str | None, timeout_s: float) -> LoadedModel:
        """Return a model, after it has been loaded if need be; it stays until `release`.

        Raises:
            ModelNotFound: It is not among the models that are served.
            VersionNotFound: Another version of it is served.
            InsufficientMemory: It does not fit into the memory that models may take.
            StillLoading: It was not there in time; loading goes on.
            ModelNotReady: It is, or may be, among them and cannot be served, for the reason given.
        """
        end = time.monotonic() + timeout_s
        self._await_name(name, timeout_s)
        self._cache.begin_wait(name)  # else others might take its memory before it is handed out
        try:
            with self._changed:
                if self._ready(name) is None and name not in self._away:
                    self._background.start(name, partial(self._renew, name))
                settled = self._changed.wait_for(
                    lambda: self._ready(name) is not None or not self._background.is_running(name),
                    max(0.0, end - time.monotonic()),
                )
                model = self.hold(name, version)
        finally:
            self._cache.end_wait(name)
        if model is None:
            raise self._why_not(name) if settled else still_loading(timeout_s)
        return model

    def await_model(self, name: str, version: str | None, timeout_s: float) -> LoadedModel:
        """Return a model as `await_and_hold` does, but leave it to others to take its memory."""
        model = self.await_and_hold(name, version, timeout_s)
        self.release(name)
        return model

    def prediction_comes(self, model: LoadedModel) -> None:
        """Take note that a model is asked for a prediction: beside its second, its weights are packed."""
        if model.packing is None or not model.packing.is_due():
            return
        if self.make_room(0) < model.variant.peak_memory_bytes:
            model.packing.give_up()
            return
        self._cache.hold(model.name)  # else others would take the memory of what is in use
        try:
            threading.Thread(target=self._pack, args=(model.packing, model.name), name="pack", daemon=True).start()
        except RuntimeError:  # no thread to be had
            self._cache.release(model.name)
            model.packing.give_up()

    def release(self, name: str) -> None:
        """End what `hold` or `await_and_hold` began."""
        self._cache.release(name)

    def make_room(self, least_bytes: int) -> int:
        """Return how many bytes models may still take, after dropping idle ones until it is that much, if it helps."""
        return self._cache.make_room(least_bytes)

    def load(self, name: str, timeout_s: float) -> LoadedModel:
        """Load a model now, also one that was unloaded; where its alias names another version by now, that one.

        The old version answers meanwhile, and still if that fails; unless both do not fit into memory: then it goes
        first. After `timeout_s` loading goes on, and takes the old one's place when it has succeeded.

        Raises:
            LambdaserveError: As `await_and_hold`.
        """
        end = time.monotonic() + timeout_s
        self._await_name(name, timeout_s)
        with self._changed:
            self._away.discard(name)
            before = self._version_of(name)
            if self._await_job(name, end):  # what is under way may have read the alias before it was changed
                self._background.start(name, partial(self._renew, name))
            if not self._await_job(name, end):
                raise still_loading(timeout_s)
            model = self._cache.find(name)
            if model is None or name in self._background.problems:
                problem = self._why_not(name)
                if before and model is None and name not in self._away:
                    problem = type(problem)(f"{problem}; version {before} had gone first, as both do not fit")
                raise problem
            return model

    def unload(self, name: str) -> None:
        """Let go of a model; it stays away until `load`. Requests that it is answering end first.

        Raises:
            ModelNotFound: It is not among the models that are served.
            NotSupported: It is pinned.
        """
        if name not in self._served:
            raise not_served(name, self._served.names)
        if name in self._settings.pinned:
            msg = f"model {name!r}: pinned, expected one that is not; take it out of LAMBDASERVE_PINNED"
            raise NotSupported(msg)
        with self._changed:
            self._away.add(name)
            self._settle(name)
        self._cache.drop(name)  # a job that loads it looks at the end, after it has put it here

    def _ready(self, name: str) -> LoadedModel | None:
        """Return a model that may be handed out."""
        return None if name in self._unchecked else self._cache.find(name)

    def _settle(self, name: str) -> None:
        """Take note that nothing has to be done for a model any more before it may be handed out."""
        self._unchecked.discard(name)
        self._awaited.discard(name)

    def _version_of(self, name: str) -> str | None:
        model = self._cache.find(name)
        return None if model is None else model.version

    def _await_job(self, name: str, end: float) -> bool:
        """Wait until nothing loads the model, but not after `end`; return whether it is so."""
        left_s = max(0.0, end - time.monotonic())
        return self._changed.wait_for(lambda: not self._background.is_running(name), left_s)

    def _renew(self, name: str) -> None:
        """Load a model, unless it is here in the version that its alias names."""
        version = self._version_of(name)
        if version is None:
            self._load(name)
            return
        if version != find_alias(self._open_store(), name, self._settings.alias).version:
            if name in self._unchecked:
                self._cache.drop(name)  # nobody may have it: its memory is better given to the new one
            self._load(name)
            return
        with self._changed:
            self._settle(name)

    def _load_at_start(self) -> None:
        store = self._open_store()
        if not self._started or self._served.may_have_changed():
            at_start = self._served.at_start
            self._begin(at_start)  # the list of the others must not hold them up
            if not (self._served.fixed and at_start):
                with self.timeline.span("list"):
                    self._served.read(store)
            with self._changed:
                if not self._started:
                    self._awaited = {name for name in self._served.at_start if self._cache.find(name) is None}
                self._started = True
        with self._changed:
            awaited = set(self._awaited)
        self._begin(awaited)  # and does not wait for them: others wait for this job, to know whether a name is served

    def _begin(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            if self._ready(name) is None and name not in self._away:
                self._background.start(name, partial(self._renew, name))

    def _load(self, name: str) -> None:
        try:
            reserve = partial(self._cache.reserve, name)
            store = self._open_store()
            model = load_model(store, name, self._settings, self._observer, reserve, self.timeline)
        except BaseException:
            self._cache.cancel(name)
            raise
        self._cache.put(model)
        with self._changed:
            self._settle(name)
        self._observer.model_loaded(model)
        del model  # else dropping it would free nothing
        if name in self._away:  # looked at after `put`: who unloads it from now on finds it here
            self._cache.drop(name)

    def _pack(self, packing: Packing, name: str) -> None:
        try:
            packing.run()
        finally:
            self._cache.release(name)

    def _open_store(self) -> Store:
        with self._opening:
            if self._store is None:
                self._settings.check()
                with self.timeline.span("store"):
                    self._store = open_store(self._settings.store_url)
            return self._store

    def _await_name(self, name: str, timeout_s: float) -> None:
        """Return when it is known that the model is served. Raises as `await_and_hold` does."""
        if name in self._served:
            return
        settled = True
        if not self._served.fixed:
            if self._served.may_have_changed():
                self._background.start(_START, self._load_at_start)
            with self._changed:
                settled = self._changed.wait_for(
                    lambda: name in self._served or not self._background.is_running(_START), timeout_s
                )
        if name in self._served:
            return
        if not settled:
            raise still_loading(timeout_s)
        problem = self._background.problems.get(_START)
        raise not_served(name, self._served.names) if problem is None else ModelNotReady(public_reason(_START, problem))

    def _why_not(self, name: str) -> LambdaserveError:
        return why_not_ready(name, self._background.problems.get(name), unloaded=name in self._away)

    def _state_of(self, name: str) -> ModelState:
        if (model := self._ready(name)) is not None:
            return ModelState(name, model.version, "READY")
        if self._background.is_running(name):
            return ModelState(name, None, "LOADING")
        problem = self._background.problems.get(name)
        reason = public_reason(name, problem) if problem else "not loaded: the first request for it loads it"
        return ModelState(name, None, "UNAVAILABLE", "unloaded" if name in self._away else reason)
