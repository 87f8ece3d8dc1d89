"""Models that fail as only a fault of ours could make them fail."""

from collections.abc import Sequence
from dataclasses import replace

from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.routing import MAIN
from handlers.runtime.session import Session
from handlers.tasks.arrays import Arrays

__all__ = ["FaultyModels"]


class FaultyModels(Models):
    """Hands out every model with a session that fails, for as long as there is an error to fail with."""

    error: Exception | None = None

    def find(self, name: str, which: str | None = None, share: float = MAIN) -> LoadedModel | None:
        model = super().find(name, which, share)
        return model if model is None or self.error is None else replace(model, session=_FailingSession(self.error))


class _FailingSession(Session):
    """Raises what no session is meant to raise."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(
        self,
        inputs: Arrays,
        outputs: Sequence[str] | None = None,
        *,
        timeout_s: float | None = None,
        shrink: bool = False,
    ) -> Arrays:
        del inputs, outputs, timeout_s, shrink
        raise self._error
