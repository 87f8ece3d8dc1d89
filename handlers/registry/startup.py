"""What is loaded at the start, and which models are served: both may take the store to tell."""

import threading
from collections.abc import Callable, Iterable

from handlers.errors import LambdaserveError, ModelNotReady
from handlers.registry.background import Job
from handlers.registry.renewal import Renewal
from handlers.registry.served import ServedModels
from handlers.registry.states import not_served, public_reason, still_loading

__all__ = ["Startup"]

_JOB = ""
"""Reads the store and begins to load what is to be there at the start; other jobs have names of models."""


class Startup:
    """Begins what is loaded at the start, and knows when it is there. Safe to use from several threads."""

    def __init__(
        self,
        alias: str,
        served: ServedModels,
        renewal: Renewal,
        is_ready: Callable[[str], bool],
        changed: threading.Condition,
    ) -> None:
        """Begin nothing yet.

        Args:
            alias: Which names what is loaded.
            served: The models that are served.
            renewal: Loads them.
            is_ready: Tells whether a model can answer whoever names no version.
            changed: Guards what is known of them.
        """
        self._alias = alias
        self._served = served
        self._renewal = renewal
        self._is_ready = is_ready
        self._changed = changed
        self._job: Job | None = None
        self._started = False

    @property
    def complete(self) -> bool:
        """As `Models.complete`."""
        return self._started and not self._renewal.awaited

    def start(self) -> None:
        """As `Models.start`."""
        if not self.complete:
            self._job = self._renewal.background.start(_JOB, self._load, self._renewal.teller(_JOB))

    def wait(self, timeout_s: float) -> bool:
        """As `Models.wait`."""
        renewal = self._renewal
        with self._changed:
            return self._changed.wait_for(
                lambda: (
                    not renewal.background.is_running(_JOB)
                    and all(self._is_ready(name) or not renewal.is_loading(name) for name in renewal.awaited)
                ),
                timeout_s,
            )

    def await_all(self, timeout_s: float) -> None:
        """As `Models.await_all`."""
        self.start()
        renewal = self._renewal
        with self._changed:
            if not self._changed.wait_for(lambda: not renewal.background.is_running(_JOB, *renewal.awaited), timeout_s):
                raise still_loading(timeout_s)
            if self.complete:
                return
            problems = [(_JOB, self._problem), *((name, renewal.problem(name)) for name in sorted(renewal.awaited))]
        found = [public_reason(name, problem) for name, problem in problems if problem]
        raise ModelNotReady("; ".join(found) or str(still_loading(timeout_s)))

    def distrust(self, names: Iterable[str]) -> None:
        """Have the aliases of models read before they are handed out again."""
        with self._changed:
            for name in names:
                self._renewal.watch(name).unchecked = True
                self._renewal.awaited.add(name)

    def resume(self, timeout_s: float) -> list[str]:
        """Begin to read aliases that are not trusted, wait for it, and return the names of their models."""
        with self._changed:
            names = sorted(name for name, watch in self._renewal.watches.items() if watch.unchecked)
        self._begin(names)
        self.wait(timeout_s)
        return names

    def await_name(self, name: str, timeout_s: float) -> None:
        """Return when it is known that a model is served. Raises as `Models.await_and_hold` does."""
        if name in self._served:
            return
        settled = True
        if not self._served.fixed:
            if self._served.may_have_changed():
                self._job = self._renewal.background.start(_JOB, self._load, self._renewal.teller(_JOB))
            with self._changed:
                settled = self._changed.wait_for(
                    lambda: name in self._served or not self._renewal.background.is_running(_JOB), timeout_s
                )
        if name in self._served:
            return
        if not settled:
            raise still_loading(timeout_s)
        if self._problem is not None:
            raise ModelNotReady(public_reason(_JOB, self._problem))
        raise not_served(name, self._served.names)

    @property
    def _problem(self) -> LambdaserveError | None:
        return None if self._job is None else self._job.problem

    def _load(self) -> None:
        store = self._renewal.open_store()
        if not self._started or self._served.may_have_changed():
            self._begin_first(self._served.at_start)  # the list of the others must not hold them up
            if not (self._served.fixed and self._served.at_start):
                with self._renewal.timeline.span("list"):
                    self._served.read(store)
            self._begin_first(self._served.at_start)
            self._started = True
        with self._changed:
            awaited = set(self._renewal.awaited)
        self._begin(awaited)  # and does not wait for them: others wait for this job, to know whether a name is served

    def _begin_first(self, names: Iterable[str]) -> None:
        with self._changed:
            new = [] if self._started else [name for name in names if not self._is_ready(name)]
            self._renewal.awaited.update(new)
        self._begin(new)

    def _begin(self, names: Iterable[str]) -> None:
        with self._changed:
            for name in sorted(names):
                if name not in self._renewal.away:
                    self._renewal.watch(name).used.add(self._alias)
                    self._renewal.renew(name, whole=True)
