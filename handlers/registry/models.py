"""The models of one process: found by name, loaded when a request needs them, tried again where that failed."""

import threading
import time
from functools import partial

from handlers.errors import NotSupported
from handlers.memory import release_memory
from handlers.registry.loading import LoadedModel, LoadObserver
from handlers.registry.packing import Packing
from handlers.registry.renewal import Renewal
from handlers.registry.routing import MAIN, find_version, is_version
from handlers.registry.served import ServedModels
from handlers.registry.startup import Startup
from handlers.registry.states import ModelState, not_served, public_reason, still_loading, why_not_ready
from handlers.registry.stores import Store
from handlers.registry.waiting import Waiting
from handlers.settings import Settings
from handlers.timeline import Timeline

__all__ = ["ModelState", "Models"]


class Models:
    """Loads versions of models, each in a thread, and hands them out. Safe to use from several threads.

    At the start those models are loaded that are pinned, or the one that is served alone; any other when it is asked
    for. Whoever asks names a version, an alias, or neither, which is the alias of the settings; `share` says which
    of its versions a weighted alias gives. Loading in the background never raises. What could not be loaded is tried
    again by the next call that needs it.

    Attributes:
        timeline: When the phases of loading were, of all models.
        strict: Whether nothing is handed out before the store was asked whether its alias has moved.
    """

    def __init__(
        self, settings: Settings, observer: LoadObserver, timeline: Timeline | None = None, store: Store | None = None
    ) -> None:
        """Begin nothing yet. `store` is that of the settings, where it is open already."""
        self.timeline = timeline or Timeline()
        self.strict = settings.alias_check_s == 0
        self._settings = settings
        self._changed = threading.Condition()
        self._renewal = Renewal(settings, observer, self.timeline, self._changed, store)
        self._cache = self._renewal.cache
        self._served = ServedModels(settings)
        self._startup = Startup(settings.alias, self._served, self._renewal, self._is_ready, self._changed)

    @property
    def loaded(self) -> list[LoadedModel]:
        """The versions that are ready, sorted by model and version."""
        with self._changed:
            return [model for model in self._cache.loaded if not self._renewal.watch(model.name).unchecked]

    @property
    def defaults(self) -> list[tuple[str, str]]:
        """The models that are ready to answer whoever names no version, sorted, and the version that does."""
        with self._changed:
            found = [self.find(name) for name in self._served.names]
            return [(model.name, model.version) for model in found if model is not None]

    @property
    def names(self) -> list[str]:
        """The names of the models that are served, sorted. Does not ask the store."""
        return self._served.names

    @property
    def complete(self) -> bool:
        """Whether the store could be read and every model was loaded that is to be at the start."""
        return self._startup.complete

    def index(self) -> list[ModelState]:
        """Return how it stands with the models that are served, each version that is ready, sorted. Asks no store."""
        with self._changed:
            return [state for name in self._served.names for state in self._states_of(name)]

    def start(self) -> None:
        """Begin to load, in the background, what is to be loaded at the start. Does nothing while under way or done."""
        self._startup.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all that is loaded at the start can answer, or has failed to; return whether it is so."""
        return self._startup.wait(timeout_s)

    def await_all(self, timeout_s: float) -> None:
        """Return when every model is ready that is loaded at the start. If that has failed before, it is tried again.

        Raises:
            ModelNotReady: One is not, or the store cannot be read, with the reason.
        """
        self._startup.await_all(timeout_s)

    def suspend(self, timeout_s: float) -> list[ModelState]:
        """Prepare for a snapshot: load what is loaded at the start, let go of the store, hand nothing out any more.

        In each process that is made of the snapshot, a model is handed out again once its aliases have been read there:
        they may name other versions by then. `resume` sees to it, and so does whoever asks for the model. Returns what
        was loaded.

        Raises:
            ModelNotReady: As `await_all`.
        """
        self._startup.await_all(timeout_s)
        self._renewal.close_store()  # its connections will be dead and its credentials old
        loaded = [state for state in self.index() if state.state == "READY"]
        self._startup.distrust(dict.fromkeys(state.name for state in loaded))
        release_memory()  # closes what has been let go of, and makes the snapshot smaller
        return loaded

    def resume(self, timeout_s: float) -> list[ModelState]:
        """Read the aliases of all that came with the snapshot, and load what they name by now.

        Returns, after `timeout_s` at the latest, how it stands with them; what is not done by then goes on.
        """
        self._served.forget_when_read()
        names = self._startup.resume(timeout_s)
        return [state for state in self.index() if state.name in names]

    def find(self, name: str, which: str | None = None, share: float = MAIN) -> LoadedModel | None:
        """Return a version that is ready, None if it is not. Loads nothing, and does not ask the store."""
        watch = self._renewal.watches.get(name)
        if watch is None or watch.serving is None or watch.unchecked:
            return None
        version = find_version(watch.serving, which or self._settings.alias, share)
        return None if version is None else self._cache.find((name, version))

    def hold(self, name: str, which: str | None = None, share: float = MAIN) -> LoadedModel | None:
        """Return what `find` does; it stays until `release`, however much others need its memory.

        If it is time to, a job begins beside it that looks whether the aliases have moved.
        """
        with self._changed:
            model = self.find(name, which, share)
            if model is None:
                return None
            self._cache.hold((name, model.version))
            watch = self._renewal.watch(name)
            if which is None or not is_version(which):
                watch.used.add(which or self._settings.alias)
            if time.monotonic() >= watch.due_at_s and not self.strict:
                self._renewal.check_beside(name)
            return model

    def await_and_hold(self, name: str, which: str | None, timeout_s: float, share: float = MAIN) -> LoadedModel:
        """Return a version, after it has been loaded if need be; it stays until `release`.

        Raises:
            ModelNotFound: It is not among the models that are served.
            VersionNotFound: No alias has that name, or there is no such version, or not any more.
            InsufficientMemory: It does not fit into the memory that models may take.
            StillLoading: It was not there in time; loading goes on.
            ModelNotReady: It is, or may be, among them and cannot be served, for the reason given.
        """
        end_s = time.monotonic() + timeout_s
        self._startup.await_name(name, timeout_s)
        with self._changed:
            if self.strict:  # what is under way may have read the aliases before this request came
                self._await_job(name, end_s, timeout_s)
            elif (model := self.hold(name, which, share)) is not None:
                return model
            asked = which or self._settings.alias
            aliases = self._renewal.watch(name).serving
            waiting = Waiting(
                self._renewal,
                partial(self.hold, name, which, share),
                name=name,
                which=asked,
                is_alias=which is None or (aliases is not None and which in aliases.aliases),
                share=share,
                strict=self.strict,
            )
            with waiting:
                while (model := waiting.look()) is None:
                    if not self._changed.wait(end_s - time.monotonic()):
                        raise still_loading(timeout_s)
                return model

    def await_model(self, name: str, which: str | None, timeout_s: float) -> LoadedModel:
        """Return a version as `await_and_hold` does, but leave it to others to take its memory."""
        model = self.await_and_hold(name, which, timeout_s)
        self.release(name, model.version)
        return model

    def prediction_comes(self, model: LoadedModel) -> None:
        """Take note that a version is asked for a prediction: beside its second, its weights are packed."""
        if model.packing is None or not model.packing.is_due():
            return
        if self.make_room(0) < model.variant.peak_memory_bytes:
            model.packing.give_up()
            return
        key = (model.name, model.version)
        self._cache.hold(key)  # else others would take the memory of what is in use
        try:
            threading.Thread(target=self._pack, args=(model.packing, *key), name="pack", daemon=True).start()
        except RuntimeError:  # no thread to be had
            self._cache.release(key)
            model.packing.give_up()

    def release(self, name: str, version: str) -> None:
        """End what `hold` or `await_and_hold` began."""
        self._cache.release((name, version))

    def make_room(self, least_bytes: int) -> int:
        """Return how many bytes models may still take, after dropping idle ones until it is that much, if it helps."""
        return self._cache.make_room(least_bytes)

    def load(self, name: str, timeout_s: float) -> LoadedModel:
        """Load what the aliases of a model name now, also where it was unloaded.

        The old version answers meanwhile, and still if that fails; unless both do not fit into memory: then it goes
        first, and is loaded again if the new one fails, but where answers are strict. After
        `timeout_s` loading goes on, and takes the old one's place when it has succeeded.

        Raises:
            LambdaserveError: As `await_and_hold`.
        """
        end_s = time.monotonic() + timeout_s
        self._startup.await_name(name, timeout_s)
        with self._changed:
            self._renewal.away.discard(name)
            self._await_job(name, end_s, timeout_s)  # it may have read the aliases before they were changed
            before = self._cache.versions(name)
            self._renewal.watch(name).used.add(self._settings.alias)
            job = self._renewal.renew(name, whole=True)
            self._await_job(name, end_s, timeout_s)
            model = self.find(name)
            if model is None or job.problem is not None:
                problem = why_not_ready(name, job.problem, unloaded=name in self._renewal.away)
                if before and not self._cache.versions(name) and name not in self._renewal.away:
                    gone = ", ".join(before)
                    problem = type(problem)(f"{problem}; version {gone} had gone first, as both do not fit")
                raise problem
            return model

    def unload(self, name: str) -> None:
        """Let go of all versions of a model; it stays away until `load`. Requests that they are answering end first.

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
            self._renewal.away.add(name)
            self._renewal.awaited.discard(name)
            keys = [(name, version) for version in self._cache.versions(name)]
        self._cache.drop(*keys)  # a job that loads one looks at the end, after it has put it here

    def _is_ready(self, name: str) -> bool:
        return self.find(name) is not None

    def _await_job(self, name: str, end_s: float, timeout_s: float) -> None:
        """Wait until nobody reads the aliases of a model, or loads what they name. The caller holds the lock."""
        left_s = max(0.0, end_s - time.monotonic())
        if not self._changed.wait_for(lambda: not self._renewal.is_loading(name), left_s):
            raise still_loading(timeout_s)

    def _pack(self, packing: Packing, name: str, version: str) -> None:
        try:
            packing.run()
        finally:
            self._cache.release((name, version))

    def _states_of(self, name: str) -> list[ModelState]:
        renewal = self._renewal
        if not renewal.watch(name).unchecked and (versions := self._cache.versions(name)):
            return [ModelState(name, version, "READY") for version in versions]
        if renewal.is_loading(name):
            return [ModelState(name, None, "LOADING")]
        problem = renewal.problem(name)
        reason = public_reason(name, problem) if problem else "not loaded: the first request for it loads it"
        return [ModelState(name, None, "UNAVAILABLE", "unloaded" if name in renewal.away else reason)]
