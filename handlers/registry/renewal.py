"""The jobs that bring a model to what its aliases name: they read them, load what is new, and switch then."""

import threading
import time
from contextlib import suppress
from functools import partial

from handlers.errors import CorruptFile, LambdaserveError, VersionNotFound
from handlers.registry.aliases import Aliases, alias_of
from handlers.registry.background import Background, Job, Tell
from handlers.registry.cache import Key, ModelCache
from handlers.registry.loading import LoadObserver, load_version
from handlers.registry.stores import Store, open_store
from handlers.registry.watch import Watch, read_again
from handlers.settings import Settings
from handlers.timeline import Timeline

__all__ = ["Renewal"]

_TRIES = 5
"""How often aliases are read before what they name is taken for broken: each time they named something else."""


class Renewal:
    """Knows what aliases name, and loads it. Safe to use from several threads.

    Attributes:
        watches: What is known of the aliases of each model that was asked for.
        away: Models that were unloaded: what is loaded of them meanwhile goes at once.
        awaited: Models that are to be loaded at the start and are not.
    """

    def __init__(
        self,
        settings: Settings,
        observer: LoadObserver,
        timeline: Timeline,
        changed: threading.Condition,
        store: Store | None,
    ) -> None:
        """Begin nothing yet. `changed` guards all that is here; `store` is None where it is not open yet."""
        self.watches: dict[str, Watch] = {}
        self.away: set[str] = set()
        self.awaited: set[str] = set()
        self.cache = ModelCache(settings.model_memory_bytes, self._is_pinned, observer, changed)
        self.background = Background(changed)
        self._settings = settings
        self._observer = observer
        self.timeline = timeline
        self._changed = changed
        self._store = store
        self._opening = threading.Lock()
        self._jobs: dict[str, Job] = {}

    def open_store(self) -> Store:
        """Return the store, opened if need be. Raises InvalidSetting where the settings make no sense."""
        with self._opening:
            if self._store is None:
                self._settings.check()
                with self.timeline.span("store"):
                    self._store = open_store(self._settings.store_url)
            return self._store

    def close_store(self) -> None:
        """Let go of the store: it is opened again when it is needed."""
        with self._opening:
            self._store = None

    def teller(self, name: str) -> Tell:
        """Return who is told what went wrong with a model; of the store as a whole where the name is empty."""
        return partial(self._observer.load_failed, name)

    def watch(self, name: str) -> Watch:
        """Return what is known of a model's aliases. The caller holds the lock."""
        return self.watches.setdefault(name, Watch())

    def problem(self, name: str) -> LambdaserveError | None:
        """Return what went wrong with a model when its aliases were read last, or what they name was loaded."""
        job = self._jobs.get(name)
        return None if job is None else job.problem

    def is_loading(self, name: str) -> bool:
        """Tell whether a model's aliases are being read, or what they name is being loaded."""
        return self.background.is_running(name)

    def renew(self, name: str, *, whole: bool) -> Job:
        """Begin to read a model's aliases and, where they have moved, to load what they name.

        Args:
            name: Of the model.
            whole: Whether to load what they name in any case.
        """
        job = self.background.start(name, partial(self._renew, name, whole=whole), self.teller(name))
        self._jobs[name] = job
        return job

    def check_beside(self, name: str) -> None:
        """Begin to look whether a model's aliases have moved, beside a request that does not wait for it."""
        self.watch(name).due_at_s = time.monotonic() + self._settings.alias_check_s
        with suppress(RuntimeError):  # no thread to be had: the next time is soon enough
            self._jobs[name] = self.background.start(
                name,
                partial(self._renew, name, whole=False, beside=True),
                partial(self._observer.alias_check_failed, name),
            )

    def load(self, name: str, version: str) -> Job:
        """Begin to load one version of a model."""
        load = partial(self._load, name, version, Timeline(self.timeline), takes_over=False)
        return self.background.start(_job_of(name, version), load, partial(self._tell, name))

    def _is_pinned(self, key: Key) -> bool:
        name, version = key
        watch = self.watches.get(name)
        if name not in self._settings.pinned or watch is None:
            return False
        newest = watch.newest.aliases if watch.newest else None
        return version in watch.needed(watch.serving) or version in watch.needed(newest)

    def _renew(self, name: str, *, whole: bool, beside: bool = False) -> LambdaserveError | None:
        with self._changed:
            watch = self.watch(name)
        try:
            return self._follow(name, watch, whole=whole, beside=beside)
        finally:
            self._bring_back(name, watch)

    def _follow(self, name: str, watch: Watch, *, whole: bool, beside: bool) -> LambdaserveError | None:
        with self._changed:
            if beside:
                watch.forget_unused(self.cache.versions(name))
        tries = 0
        while True:
            tries += 1
            timeline = Timeline(None if beside else self.timeline)  # answers tell of what they have waited for
            with timeline.span("alias"):
                aliases = self._read(name, watch)
            if beside and not watch.settled and (resting := watch.resting) is not None:
                return resting
            problem = None
            if whole or not watch.settled:
                if watch.newest is not None and watch.newest.etag is None:
                    self._check_default(watch, aliases)  # nothing is published: there is nothing to follow
                self._begin(name, watch)
                problem = self._load_needed(name, watch, timeline)
            if problem is None:
                self._end(name, watch)
                self._check_default(watch, aliases)
                return None
            if tries == _TRIES or not self._has_moved(name, watch, aliases):
                self._settle_for_most(name, watch)
                watch.fail(problem, self._settings.alias_check_s)
                if isinstance(problem, VersionNotFound):  # nobody was told: it may have been an answer
                    raise CorruptFile(str(problem))
                return problem

    def _read(self, name: str, watch: Watch) -> Aliases:
        """Ask the store what a model's aliases name by now."""
        found = read_again(self.open_store(), name, watch.newest)
        with self._changed:
            watch.note(found, self._settings.alias_check_s)
        return found.aliases

    def _has_moved(self, name: str, watch: Watch, aliases: Aliases) -> bool:
        """Tell whether aliases have moved since: what they named may have been deleted then, and is wanted no more."""
        with suppress(LambdaserveError):
            return self._read(name, watch) is not aliases
        return False

    def _check_default(self, watch: Watch, aliases: Aliases) -> None:
        """Refuse aliases without the one that requests come by which name none: all others are followed before."""
        if self._settings.alias in watch.used:
            alias_of(aliases, self._settings.alias)

    def _begin(self, name: str, watch: Watch) -> None:
        """Switch at once where there is nothing, or nothing that may be handed out, that could answer meanwhile."""
        with self._changed:
            gone: list[str] = []
            if watch.unchecked:
                gone = watch.leaving
            elif any(self.cache.find((name, version)) for version in watch.needed(watch.serving)):
                return
        self.cache.drop(*((name, version) for version in gone))  # their memory is better given to the new ones
        self._switch(name, watch)

    def _load_needed(self, name: str, watch: Watch, timeline: Timeline) -> LambdaserveError | None:
        """Load what aliases in use name, also after one has failed, and return what went wrong first."""
        first: LambdaserveError | None = None
        needed = watch.needed(watch.newest.aliases if watch.newest else None)
        watch.brought.update(needed)
        for version in needed:
            with self._changed:
                if self.cache.find((name, version)) is not None:
                    continue
                watch.loading = version
                self._changed.notify_all()  # who needs another one need not wait for this one
            try:
                load = partial(self._load, name, version, timeline, takes_over=True)
                job = self.background.perform(_job_of(name, version), load, partial(self._tell, name))
            finally:
                watch.loading = None
            first = first or job.problem
            timeline = timeline.empty_copy()
        return first

    def _end(self, name: str, watch: Watch) -> None:
        """Switch to what was read, all of which is loaded, and let go of what is not named any more."""
        with self._changed:
            if watch.newest and self._settings.alias in watch.newest.aliases.aliases:
                self.awaited.discard(name)
            leaving = [(name, version) for version in watch.leaving]
            watch.replaced = None
            watch.brought.difference_update(version for _, version in leaving)
        self._switch(name, watch)
        self.cache.drop(*leaving)

    def _bring_back(self, name: str, watch: Watch) -> None:
        """Load what had to go first again, where what it made room for has failed, and route requests back to it."""
        with self._changed:
            before, watch.replaced = watch.replaced, None
            if before is None or name in self.away or self._settings.alias_check_s == 0:
                return  # strict: what an alias named before is no answer
            needed = watch.needed(before)
            given_up = [(name, version) for version in watch.needed(watch.serving) if version not in needed]
            moved = watch.route(before)
        self.cache.drop(*given_up)
        for alias, old, new in moved:
            self._observer.alias_moved(name, alias, old, new)
        for version in needed:
            if self.cache.find((name, version)) is None:
                load = partial(self._load, name, version, Timeline(self.timeline), takes_over=False)
                self.background.perform(_job_of(name, version), load, partial(self._tell, name))

    def _settle_for_most(self, name: str, watch: Watch) -> None:
        """Take a model for there, though not all was loaded, where most requests that name no version are answered."""
        with self._changed:
            alias = watch.serving.aliases.get(self._settings.alias) if watch.serving else None
            if alias is not None and not watch.unchecked and self.cache.find((name, alias.version)) is not None:
                self.awaited.discard(name)

    def _switch(self, name: str, watch: Watch) -> None:
        with self._changed:
            moved = watch.switch()
            self._changed.notify_all()
        for alias, before, after in moved:
            self._observer.alias_moved(name, alias, before, after)

    def _load(self, name: str, version: str, timeline: Timeline, *, takes_over: bool) -> None:
        key = (name, version)
        try:
            reserve = partial(self._reserve, key, takes_over=takes_over)
            model = load_version(self.open_store(), name, version, self._settings, self._observer, reserve, timeline)
        except BaseException:
            self.cache.cancel(key)
            raise
        self.cache.put(model)
        self._observer.model_loaded(model)
        del model  # else dropping it would free nothing
        if name in self.away:  # looked at after `put`: who unloads it from now on finds it here
            self.cache.drop(key)

    def _reserve(self, key: Key, size_bytes: int, *, takes_over: bool) -> None:
        with self._changed:
            watch = self.watch(key[0])
            leaving = [(key[0], version) for version in watch.leaving] if takes_over else []
        before = [other for other in leaving if self.cache.find(other)]
        self.cache.reserve(key, size_bytes, leaving)
        if before and not any(self.cache.find(other) for other in before):
            watch.replaced = watch.replaced or watch.serving
            self._switch(key[0], watch)  # they had to go first: requests wait for the new one

    def _tell(self, name: str, problem: LambdaserveError) -> None:
        if not isinstance(problem, VersionNotFound):  # that is an answer to whoever asked for it
            self._observer.load_failed(name, problem)


def _job_of(name: str, version: str) -> str:
    return f"{name}/{version}"
