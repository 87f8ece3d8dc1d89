"""What the protocols have in common: the models, their budget of time and bytes, and who is told of it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from handlers.api.call import Call
from handlers.api.counters import Counters
from handlers.errors import LambdaserveError, NotSupported
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

__all__ = ["Service", "service_of"]

T = TypeVar("T")

_WAIT_S = 20.0  # for models that are being loaded, and for payloads; API Gateway gives up after 29 s
_MARGIN_S = 1.0  # left of Lambda's time to send an answer


@dataclass(frozen=True)
class Service:
    """The models of this process behind any protocol.

    `managed` says whether clients may load and unload models: where there is one process, and it is the caller's own.
    """

    models: Models
    telemetry: Telemetry
    max_body_bytes: int
    managed: bool = False
    counters: Counters = field(default_factory=Counters)
    payloads: Payloads = field(default_factory=Payloads)
    max_answer_bytes: int = 0  # any size

    async def await_all(self, scope: "Scope") -> None:
        """Return when every model is ready, after another try at those that are not.

        Raises:
            ModelNotReady: One is not, with the reason.
        """
        if not self.models.complete:
            await asyncio.to_thread(self.models.await_all, _seconds_left(scope))

    async def model(self, scope: "Scope", name: str, version: str | None) -> LoadedModel:
        """Return the model, after it has been loaded if need be. Raises as `Models.await_model` does."""
        found = self.models.find(name, version)
        if found is None:
            found = await asyncio.to_thread(self.models.await_model, name, version, _seconds_left(scope))
        return found

    def check_managed(self) -> None:
        """Check that clients may load and unload models.

        Raises:
            NotSupported: They may not.
        """
        if not self.managed:
            msg = (
                "models: loaded and unloaded by the function itself, as requests need them, expected the embedded "
                "server (`lambdaserve serve`) for doing so by hand: a call reaches one of many environments, and none "
                "of the others"
            )
            raise NotSupported(msg)

    async def load(self, scope: "Scope", name: str) -> None:
        """Load a model, anew if it is loaded. Raises as `Models.load` does."""
        await asyncio.to_thread(self.models.load, name, _seconds_left(scope))

    async def unload(self, name: str) -> None:
        """Let go of a model. Raises as `Models.unload` does."""
        await asyncio.to_thread(self.models.unload, name)

    def call(self, model: LoadedModel, answer: Callable[[Call], T]) -> T:
        """Return what `answer` makes of a call to the model, and report how it went."""
        start = time.perf_counter()
        transfer = Transfer(self.payloads, time.monotonic() + _WAIT_S)
        call = Call(model, transfer=transfer, max_answer_bytes=self.max_answer_bytes)
        try:
            result = answer(call)
        except Exception as error:  # counted here, where the model is known; answered at the application's boundary
            self.counters.failed(call, _ms_since(start))
            self.telemetry.refused(model, error.code if isinstance(error, LambdaserveError) else "internal_error")
            raise
        elapsed_ms = _ms_since(start)
        self.counters.answered(call, elapsed_ms)
        self.telemetry.answered(model, elapsed_ms)
        return result


def service_of(request: "Request") -> Service:
    """Return the service of the application that got the request."""
    service: Service = request.app.state.service
    return service


def _seconds_left(scope: "Scope") -> float:
    """Return how long this request may wait: on Lambda what is left of its time, but for a margin to answer."""
    context = scope.get("aws.context")
    left_ms = getattr(context, "get_remaining_time_in_millis", None)
    return _WAIT_S if left_ms is None else max(0.0, min(_WAIT_S, left_ms() / 1000 - _MARGIN_S))


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
