"""How a request comes to a version that is not there: it has the aliases read, then the version loaded."""

import time
from collections.abc import Callable
from typing import Self

from handlers.errors import CorruptFile, ModelNotFound, VersionNotFound
from handlers.registry.background import Job
from handlers.registry.loading import LoadedModel
from handlers.registry.renewal import Renewal
from handlers.registry.routing import find_version, is_version, list_names
from handlers.registry.states import why_not_ready

__all__ = ["Waiting"]

_FRESH_S = 3.0
"""Aliases that were read so long ago are not read again for a name that is not among them."""


class Waiting:
    """One request that waits. All is done under the lock of the models; `look` is called again after each change.

    As a context it keeps what is loaded for it from being dropped before the request has it.
    """

    def __init__(  # noqa: PLR0913 - the last three are what was asked for
        self,
        renewal: Renewal,
        hold: Callable[[], LoadedModel | None],
        *,
        name: str,
        which: str,
        is_alias: bool,
        share: float,
        strict: bool,
    ) -> None:
        """Have the aliases read, where they may tell something new.

        Args:
            renewal: Reads and loads.
            hold: Returns what is waited for, held, as soon as it is there.
            name: Of the model.
            which: The version, or the alias.
            is_alias: Whether it is an alias for certain.
            share: Which of its versions a weighted alias gives.
            strict: Whether nothing may be handed out before the aliases were read.
        """
        self._renewal = renewal
        self._hold = hold
        self._name = name
        self._which = which
        self._share = share
        self._strict = strict
        self._watch = renewal.watch(name)
        self._version: str | None = None
        self._missing: str | None = None
        self._loading: Job | None = None
        is_new = is_alias and which not in self._watch.used
        if is_new:  # from now on all is loaded that it names
            self._watch.used.add(which)
        needless = name in renewal.away or self._knows_enough()
        self._reading = None if needless else renewal.renew(name, whole=is_new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep(None)

    def look(self) -> LoadedModel | None:
        """Return the version, held; None while it is on its way. Raises as `Models.await_and_hold` does."""
        if self._name in self._renewal.away:
            raise why_not_ready(self._name, None, unloaded=True)
        is_reading = self._reading is not None and self._reading.running
        if self._strict and is_reading:
            return None
        if self._strict:
            self._check(self._reading)
        if (model := self._hold()) is not None:
            return model
        if not is_reading:
            self._check(self._reading)
        if (version := self._choose(is_reading=is_reading)) is not None:
            self._have_it_loaded(version)
        return None

    def _knows_enough(self) -> bool:
        """Tell whether the store need not be asked about aliases."""
        watch, which = self._watch, self._which
        if self._strict or watch.unchecked or watch.serving is None:
            return False
        if which in watch.serving.retired:  # for ever
            return True
        return which not in watch.serving.aliases and watch.settled and time.monotonic() - watch.read_at_s < _FRESH_S

    def _choose(self, *, is_reading: bool) -> str | None:
        """Return the version to load now; None: it is on its way already, or may be another one in a moment."""
        watch = self._watch
        if watch.serving is None or watch.unchecked:
            return None
        version = find_version(watch.serving, self._which, self._share)
        if version is None and not is_reading:
            raise self._not_found()
        if is_reading and not is_version(self._which) and (not watch.settled or watch.loading in {None, version}):
            return None
        return version

    def _have_it_loaded(self, version: str) -> None:
        if self._loading is not None and version == self._version:
            if self._loading.running:
                return
            if isinstance(self._loading.problem, VersionNotFound) and not is_version(self._which):
                self._read_again(version, self._loading.problem)
                return
            self._check(self._loading)  # if it was: it has gone meanwhile
        self._keep(version)
        self._loading = self._renewal.load(self._name, version)

    def _read_again(self, version: str, problem: VersionNotFound) -> None:
        """Have the aliases read once more: a version that one of them named may have been deleted since."""
        if version == self._missing:
            fault = CorruptFile(str(problem))
            self._renewal.teller(self._name)(fault)
            raise why_not_ready(self._name, fault, unloaded=False)
        self._missing = version
        self._reading = self._renewal.renew(self._name, whole=False)

    def _keep(self, version: str | None) -> None:
        """Keep this version from being dropped, and no other."""
        before, self._version = self._version, version
        if version is not None:
            self._renewal.cache.begin_wait((self._name, version))
        if before is not None:
            self._renewal.cache.end_wait((self._name, before))

    def _check(self, job: Job | None) -> None:
        """Raise what went wrong with a job, as clients are told."""
        problem = None if job is None else job.problem
        if isinstance(problem, VersionNotFound):
            raise self._not_found()
        if isinstance(problem, ModelNotFound) and self._watch.settled:
            return  # the alias of the settings is missing: an answer to whoever came by it, and to nobody else
        if problem is not None:
            raise why_not_ready(self._name, problem, unloaded=False)

    def _not_found(self) -> VersionNotFound:
        aliases = self._watch.serving
        found = f"no {'version' if is_version(self._which) else 'alias'} {self._which[:80]!r} here"
        if aliases is not None and self._which in aliases.retired:
            found = f"version {self._which} was deleted"
        there = "none" if aliases is None else list_names(aliases)
        return VersionNotFound(f"model {self._name!r}: {found}, expected one of: {there}")
