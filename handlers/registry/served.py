"""Which models are served: those that the settings name, or every model of the store that has the alias."""

import time
from concurrent.futures import ThreadPoolExecutor

from handlers.errors import LambdaserveError, ModelNotReady
from handlers.registry.aliases import list_models, read_aliases
from handlers.registry.stores import Store
from handlers.settings import Settings

__all__ = ["ServedModels"]

REREAD_S = 30.0
RETRY_S = 3.0
_CONNECTIONS = 8


class ServedModels:
    """The names that are served, and which of them are loaded at the start.

    Names that came from the store are read again where somebody asks for one that is not among them, but not within
    30 s, or 3 s where that failed or found none: a model that was published meanwhile is found, and nobody makes us
    list by asking for nonsense.
    """

    def __init__(self, settings: Settings, reread_s: float = REREAD_S, retry_s: float = RETRY_S) -> None:
        self.fixed = bool(settings.models)
        """Whether the settings name them all."""
        self._settings = settings
        self._names = frozenset(settings.models or settings.pinned)
        self._reread_s = reread_s
        self._retry_s = retry_s
        self._read_next_at = float("-inf")

    @property
    def names(self) -> list[str]:
        """The names, sorted; before the store was read, no more than those in the settings."""
        return sorted(self._names)

    @property
    def at_start(self) -> tuple[str, ...]:
        """The models to load at the start, as far as is known: the pinned ones, or the only one."""
        return self._settings.at_start or (tuple(self._names) if len(self._names) == 1 else ())

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def may_have_changed(self) -> bool:
        """Tell whether it is time to look whether the store has other models by now."""
        return not self.fixed and time.monotonic() >= self._read_next_at

    def forget_when_read(self) -> None:
        """Take it that nobody knows how long ago the store was read: a clock may stand still in a snapshot."""
        self._read_next_at = float("-inf")

    def read(self, store: Store) -> None:
        """Ask the store which models it has. Those that were served stay.

        Raises:
            ModelNotReady: It has none.
            StoreUnavailable: It could not be asked.
        """
        try:
            self._read(store)
        except BaseException:
            self._read_next_at = time.monotonic() + self._retry_s
            raise
        self._read_next_at = time.monotonic() + self._reread_s

    def _read(self, store: Store) -> None:
        folders = list_models(store)
        if not self.fixed:
            new = [name for name in folders if name not in self._names]
            with ThreadPoolExecutor(_CONNECTIONS, "aliases") as pool:
                found = pool.map(lambda name: self._may_have_alias(store, name), new)
                self._names |= {name for name, has in zip(new, found, strict=True) if has}
        if not self._names:
            msg = f"store: no model with the alias {self._settings.alias!r}, expected at least one; publish one"
            raise ModelNotReady(msg)

    def _may_have_alias(self, store: Store, name: str) -> bool:
        try:
            return self._settings.alias in read_aliases(store, name)[0].aliases
        except LambdaserveError:  # loading it meets the same, and reports it for this model alone
            return True
