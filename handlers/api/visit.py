"""One request, from where it enters the application to where its answer leaves."""

import contextvars
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from handlers.clock import Deadline, PhaseClock

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["Visit", "current_visit"]

_MARGIN_S = 1.0  # left of Lambda's time to send an answer

_current: contextvars.ContextVar["Visit | None"] = contextvars.ContextVar("visit", default=None)


class Visit:
    """What the layers between the boundary and a model share of one request.

    Attributes:
        entered_s: When it came in, as `time.monotonic` counts.
        deadline: When its work must be done: what Lambda grants, less what it takes to send an answer; elsewhere never.
        clock: Phases `load`, `decode`, `infer` and `encode`; empty where no model was asked.
        model_version: The version that was asked for a prediction; empty where none was.
    """

    def __init__(self, scope: "Scope") -> None:
        """Take the time."""
        self.entered_s = time.monotonic()
        left_ms = getattr(scope.get("aws.context"), "get_remaining_time_in_millis", None)
        self.deadline = Deadline() if left_ms is None else Deadline(self.entered_s + left_ms() / 1000 - _MARGIN_S)
        self.clock = PhaseClock()
        self.model_version = ""
        self._at_end: list[Callable[[], None]] = []
        self._ended = False

    def __enter__(self) -> Self:
        """Make it the current one."""
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End it: whatever it held is let go."""
        _current.reset(self._token)
        self._ended = True
        self._let_go()

    def at_end(self, end: Callable[[], None]) -> None:
        """Call `end` when the answer has left, or now, if the request has been given up meanwhile."""
        self._at_end.append(end)
        if self._ended:
            self._let_go()

    def _let_go(self) -> None:
        while self._at_end:
            try:
                end = self._at_end.pop()
            except IndexError:  # another thread was faster
                break
            end()


def current_visit() -> Visit:
    """Return the request that is being answered; outside of the application, one that has just come in."""
    return _current.get() or Visit({})
