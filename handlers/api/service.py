"""What the protocols have in common: the models, their budget of time and bytes, and who is told of it."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NoReturn, TypeVar

from handlers.api.answers import AnswerLimit
from handlers.api.call import Call, HoldsUpOthers
from handlers.api.counters import Counters
from handlers.api.headers import MODEL_VERSION, header_of
from handlers.api.visit import Visit, current_visit
from handlers.clock import PhaseClock
from handlers.errors import DeadlineExceeded, LambdaserveError, NotSupported, StillLoading
from handlers.payloads.payloads import Payloads
from handlers.payloads.transfer import Transfer
from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.routing import share_of
from handlers.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

__all__ = ["Service", "model_of", "service_of"]

T = TypeVar("T")

_ROUTING_KEY = b"x-routing-key"
_WAIT_S = 20.0  # for models that are being loaded; API Gateway gives up after 29 s
_MOST_ON_LOOP_S = 0.005  # that a prediction may hold up whatever else the embedded server has to do
_MOST_ON_LOOP_BYTES = 32 * 1024  # of a body that is decoded there
_MOST_WAITING = 64  # requests in the embedded server that wait for models at once; others wait for them


@dataclass(frozen=True)
class Service:
    """The models of this process behind any protocol.

    Attributes:
        models: Which are served.
        telemetry: Who is told how it goes.
        max_body_bytes: A larger request is refused.
        answer_limit: A larger answer is refused.
        shares_loop: Whether other requests wait on the same event loop, as in the embedded server: what takes longer
            than some milliseconds goes to a thread then. On Lambda there is one request at a time, and a thread would
            only cost.
        managed: Whether clients may load and unload models: where there is one process, and it is the caller's own.
        counters: Of the statistics.
        payloads: The bucket for what is too large.
        waiting: Threads that wait for models, not those of predictions: these may hold what the others wait for.
    """

    models: Models
    telemetry: Telemetry
    max_body_bytes: int
    answer_limit: AnswerLimit = field(default_factory=AnswerLimit)
    shares_loop: bool = False
    managed: bool = False
    counters: Counters = field(default_factory=Counters)
    payloads: Payloads = field(default_factory=Payloads)
    waiting: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_MOST_WAITING, "wait-for-models"))

    async def await_all(self, scope: "Scope") -> None:  # noqa: ARG002 - what a protocol has at hand
        """Return when every model is ready that is loaded at the start, after another try at those that are not.

        Raises:
            ModelNotReady: One is not, with the reason.
        """
        if not self.models.complete:
            visit = current_visit()
            with visit.clock.phase("load"):
                await self._wait(self.models.await_all, _wait_s(visit))

    async def model(self, scope: "Scope", name: str, which: str | None) -> LoadedModel:
        """Return a version of a model, after it has been loaded if need be; it stays until the request is answered.

        Args:
            scope: Of the request, whose headers name a version or an alias, and the key by which a weighted one splits.
            name: Of the model.
            which: The version or the alias that the path names, which goes before the header.

        Raises:
            DeadlineExceeded: The time of the request ended before it was loaded.
            LambdaserveError: As `Models.await_and_hold`.
        """
        visit = current_visit()
        which = which or header_of(scope, MODEL_VERSION) or None
        share = share_of(name, header_of(scope, _ROUTING_KEY))  # once: else what is loaded would be drawn more often
        found = None if self.models.strict else self.models.hold(name, which, share)
        if found is None:
            with visit.clock.phase("load"):
                found = await self._wait(self._load_and_hold, visit, name, which, share)
        else:
            visit.at_end(partial(self.models.release, name, found.version))
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

    async def load(self, scope: "Scope", name: str) -> None:  # noqa: ARG002 - as above
        """Load a model, or the version that its alias names by now. Raises as `Models.load` does."""
        await self._wait(self.models.load, name, _wait_s(current_visit()))

    async def unload(self, name: str) -> None:
        """Let go of a model. Raises as `Models.unload` does."""
        await self._wait(self.models.unload, name)

    async def call(self, model: LoadedModel, answer: Callable[[Call], T], body_bytes: int = 0) -> T:
        """Return what `answer` makes of a call to the model, and report how it went.

        Where others share the event loop, `answer` goes to a thread if there is much to decode. If there is not, it may
        be begun twice: here, and from the start in a thread.
        """
        visit = current_visit()
        visit.model_version = model.version
        self.models.prediction_comes(model)
        if self.shares_loop and (body_bytes > _MOST_ON_LOOP_BYTES or _unpacks(model)):
            return await asyncio.to_thread(self._answer, visit, model, answer)
        if self.shares_loop:
            try:
                return self._answer(visit, model, answer, _MOST_ON_LOOP_S)
            except HoldsUpOthers:
                return await asyncio.to_thread(self._answer, visit, model, answer)
        return self._answer(visit, model, answer)

    async def _wait(self, work: Callable[..., T], *arguments: object) -> T:
        """Return what `work` returns, which may take long, from a thread that knows the request."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self.waiting, run, work, *arguments)

    def _load_and_hold(self, visit: Visit, name: str, which: str | None, share: float) -> LoadedModel:
        wait_s = _wait_s(visit)
        try:
            model = self.models.await_and_hold(name, which, wait_s, share)
        except StillLoading as error:
            if wait_s >= _WAIT_S:
                raise
            spent_s = time.monotonic() - visit.entered_s
            msg = (
                f"model {name!r}: still loading when the request's time ended, after {spent_s:.1f} s, of which load "
                f"{wait_s:.1f} s, expected it sooner; try again, loading goes on"
            )
            raise DeadlineExceeded(msg) from error
        visit.at_end(partial(self.models.release, name, model.version))
        return model

    def _answer(self, visit: Visit, model: LoadedModel, answer: Callable[[Call], T], most_s: float = float("inf")) -> T:
        start = time.perf_counter()
        clock = PhaseClock(dict(visit.clock.phases_ms))
        kind = Transfer if most_s == float("inf") else _NotOnThisLoop
        make_room = self.models.make_room
        call = Call(
            model,
            clock,
            # what is left is asked late: a request tells its own timeout only once it is read
            transfer=kind(self.payloads, lambda: call.deadline.left_s, make_room),
            answer_limit=self.answer_limit,
            deadline=visit.deadline,
            entered_s=visit.entered_s,
            make_room=make_room,
            most_s=most_s,
        )
        try:
            result = answer(call)
        except HoldsUpOthers:
            raise
        except Exception as error:  # counted here, where the model is known; answered at the application's boundary
            visit.clock = clock
            self.counters.failed(call, _ms_since(start))
            self.telemetry.refused(model, error.code if isinstance(error, LambdaserveError) else "internal_error")
            raise
        visit.clock = clock
        elapsed_ms = _ms_since(start)
        self.counters.answered(call, elapsed_ms)
        self.telemetry.answered(model, elapsed_ms)
        return result


class _NotOnThisLoop(Transfer):
    """Of a call that must not hold up others: where payloads are to be moved, it is made again in a thread."""

    def receive(self, ids: Sequence[str]) -> NoReturn:  # noqa: ARG002 - as its base
        """Give up."""
        raise HoldsUpOthers

    def send(self, data: bytes) -> NoReturn:  # noqa: ARG002 - as its base
        """Give up."""
        raise HoldsUpOthers


def service_of(request: "Request") -> Service:
    """Return the service of the application that got the request."""
    service: Service = request.app.state.service
    return service


async def model_of(request: "Request") -> LoadedModel:
    """Return the model, in the version if it names one, that a request's path names. Raises as `Service.model`."""
    names = request.path_params
    return await service_of(request).model(request.scope, names["model"], names.get("version"))


def _wait_s(visit: Visit) -> float:
    """Return how long this request may wait for models: no longer than what is left of its time."""
    return max(0.0, min(_WAIT_S, visit.deadline.left_s))


def _unpacks(model: LoadedModel) -> bool:
    """Tell whether few bytes may be much to decode, as those of images."""
    return any(media_type.startswith("image/") for media_type in model.task.media_types)


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
