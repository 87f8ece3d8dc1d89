"""The first of the cold path: what is needed first of a store is asked for before anything else is imported."""

from handlers.errors import LambdaserveError
from handlers.registry.names import aliases_key
from handlers.registry.stores import Store, open_store
from handlers.settings import Settings

__all__ = ["open_ahead"]


def open_ahead(settings: Settings) -> Store | None:
    """Open the store and begin to read the aliases of the models that are loaded at the start.

    None where that fails: whoever opens it next meets the same, and reports it.
    """
    try:
        settings.check()
        store = open_store(settings.store_url)
        for model in settings.at_start:
            store.begin_read(aliases_key(model))
    except (LambdaserveError, RuntimeError):  # RuntimeError: no thread to be had
        return None
    return store
