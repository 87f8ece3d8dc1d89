"""The models of one process: loaded at the start, tried again where that failed, found by name and version."""

import contextvars
import threading

from handlers.errors import InvalidName, LambdaserveError, ModelNotFound, ModelNotReady, StoreError, VersionNotFound
from handlers.registry.aliases import read_aliases
from handlers.registry.loading import LoadedModel, LoadObserver, load_model
from handlers.registry.names import models_prefix
from handlers.registry.stores import Store, open_store
from handlers.settings import Settings

__all__ = ["Models"]

_ALL = ""
"""Stands for the name of a model where the problem is one of the store as a whole."""


class Models:
    """Loads the models in a thread of its own and hands them out. Safe to use from several threads.

    Loading in the background never raises. What could not be loaded is tried again by the next call that needs it.
    """

    def __init__(self, settings: Settings, observer: LoadObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._loaded: dict[str, LoadedModel] = {}
        self._problems: dict[str, LambdaserveError] = {}
        self._unloaded: set[str] = set()
        self._complete = False
        self._tried = False
        self._changed = threading.Condition()
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()

    @property
    def loaded(self) -> list[LoadedModel]:
        """The models that are ready, sorted by name."""
        return [self._loaded[name] for name in sorted(self._loaded)]

    @property
    def complete(self) -> bool:
        """Whether every model that the settings ask for is ready."""
        return self._complete

    def start(self) -> None:
        """Begin to load, in the background, what is not loaded yet. Does nothing while that is under way or done."""
        with self._lock:
            if self._complete or not self._idle.is_set():
                return
            self._idle.clear()
        # the context goes along, so that what is logged while loading carries the request that asked for it
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._load_missing,), name="load-models", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait until loading has ended, well or not; return whether it has."""
        return self._idle.wait(timeout_s)

    def await_all(self, timeout_s: float) -> None:
        """Return when every model is ready. If loading has failed before, it is tried again.

        Raises:
            ModelNotReady: One is not, with the reason.
        """
        self.start()
        if not self.wait(timeout_s):
            raise _still_loading(timeout_s)
        if not self._complete:
            raise ModelNotReady("; ".join(_public(name, problem) for name, problem in self._problems.items()))

    def find(self, name: str, version: str | None = None) -> LoadedModel | None:
        """Return a model that is ready, None if there is none of that name.

        Raises:
            VersionNotFound: Another version of it is served.
        """
        model = self._loaded.get(name)
        if model is not None and version not in (None, model.version):
            msg = f"model {name!r}: no version {str(version)[:80]!r} here, expected {model.version!r}"
            raise VersionNotFound(msg)
        return model

    def await_model(self, name: str, version: str | None, timeout_s: float) -> LoadedModel:
        """Return a model, after it has been loaded if need be.

        Raises:
            ModelNotFound: It is not among the models that are served.
            VersionNotFound: Another version of it is served.
            ModelNotReady: It is, or may be, among them and cannot be served, for the reason given.
        """
        if self._may_come(name):
            self.start()
        with self._changed:
            settled = self._changed.wait_for(lambda: name in self._loaded or self._idle.is_set(), timeout_s)
        model = self.find(name, version)
        if model is not None:
            return model
        if not settled:
            raise _still_loading(timeout_s)
        problem = self._problems.get(name) or self._problems.get(_ALL)
        if problem is not None:
            raise ModelNotReady(_public(name, problem)) from problem
        served = ", ".join(sorted(self._loaded | self._problems)) or "none"
        msg = f"model {name[:80]!r}: not served here, expected one of: {served}"
        raise ModelNotFound(msg)

    def index(self) -> list[tuple[str, str | None, str, str]]:
        """Return name, version if known, state (READY, LOADING, UNAVAILABLE) and reason of each model, by name."""
        state = "UNAVAILABLE" if self._idle.is_set() else "LOADING"
        entries: dict[str, tuple[str, str | None, str, str]] = {
            name: (name, None, state, _public(name, problem)) for name, problem in self._problems.items() if name
        }
        entries |= {name: (name, model.version, "READY", "") for name, model in self._loaded.items()}
        return [entries[name] for name in sorted(entries)]

    def load(self, name: str, timeout_s: float) -> None:
        """Load a model, anew if it is loaded; while that is under way, and where it fails, the old one answers.

        Raises:
            ModelNotFound: There is no such model or alias.
            ModelNotReady: It cannot be served, or other models are still loading after `timeout_s` seconds.
        """
        if not self.wait(timeout_s):
            raise _still_loading(timeout_s)
        try:
            model = load_model(open_store(self._settings.store_url), name, self._settings, self._observer)
        except (InvalidName, ModelNotFound) as error:
            msg = f"model {name[:80]!r}: not in the store, expected a published one"
            raise ModelNotFound(msg) from error
        except LambdaserveError as error:
            raise ModelNotReady(_public(name, error)) from error
        self._loaded[name] = model
        self._unloaded.discard(name)
        self._problems.pop(name, None)
        self._announce()
        self._observer.model_loaded(model)

    def unload(self, name: str) -> None:
        """Let go of a model; it is not served until it is loaded again.

        Raises:
            ModelNotFound: It is not loaded.
        """
        if self._loaded.pop(name, None) is None:
            msg = f"model {name[:80]!r}: not loaded, expected one of: {', '.join(sorted(self._loaded)) or 'none'}"
            raise ModelNotFound(msg)
        self._unloaded.add(name)
        self._problems[name] = ModelNotReady(f"model {name!r}: unloaded, expected to be loaded before it is asked")

    def _may_come(self, name: str) -> bool:
        """Tell whether another try at loading may bring this model; nobody makes us load by asking for nonsense."""
        return not self._tried or name in self._problems or _ALL in self._problems

    def _load_missing(self) -> None:
        problems = {name: self._problems[name] for name in self._unloaded}
        try:
            self._settings.check()
            store = open_store(self._settings.store_url)
            for name in self._settings.models or self._names_in(store):
                if name not in self._loaded and name not in self._unloaded:
                    self._load_one(store, name, problems)
            if not self._loaded and not problems:
                msg = f"store: no model with the alias {self._settings.alias!r}, expected at least one; publish one"
                problems[_ALL] = ModelNotReady(msg)
        except Exception as error:  # noqa: BLE001 - init never raises: whatever it is, it is reported, and tried again
            problems[_ALL] = _as_ours(error)
        self._problems = problems
        self._complete = problems.keys() <= self._unloaded
        try:
            for name, problem in problems.items():
                self._observer.load_failed(name, problem)
        finally:  # whoever waits must not wait for an observer that fails
            self._tried = True
            self._idle.set()
            self._announce()

    def _load_one(self, store: Store, name: str, problems: dict[str, LambdaserveError]) -> None:
        try:
            model = load_model(store, name, self._settings, self._observer)
        except Exception as error:  # noqa: BLE001 - one broken model must not take the others down
            problems[name] = _as_ours(error)
        else:
            self._loaded[name] = model
            self._announce()
            self._observer.model_loaded(model)

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _names_in(self, store: Store) -> list[str]:
        """Return the names of all models that have the alias; those without it are not published for serving yet."""
        return [name for name in store.list_folders(models_prefix()) if self._may_have_alias(store, name)]

    def _may_have_alias(self, store: Store, name: str) -> bool:
        try:
            return self._settings.alias in read_aliases(store, name)[0].aliases
        except LambdaserveError:  # loading it meets the same, and reports it for this model alone
            return True


def _still_loading(timeout_s: float) -> ModelNotReady:
    return ModelNotReady(f"models: still loading after {timeout_s:.1f} s, expected them sooner; try again")


def _public(name: str, problem: LambdaserveError) -> str:
    """Return what a client may know: what a store says of itself names accounts and roles, and stays in the log."""
    if not isinstance(problem, StoreError):
        return str(problem)
    subject = f"model {name!r}" if name else "store"
    return f"{subject}: {problem.code}, expected an answer of the store; the log says more"


def _as_ours(error: Exception) -> LambdaserveError:
    if isinstance(error, LambdaserveError):
        return error
    wrapped = ModelNotReady(f"loading: {type(error).__name__}, expected no such failure; the log says more")
    wrapped.__cause__ = error
    return wrapped
