"""Work that is done beside requests: each job in a thread of its own, by a name, and never twice at a time."""

import contextvars
import threading
from collections.abc import Callable

from handlers.errors import LambdaserveError, ModelNotReady

__all__ = ["Background"]


class Background:
    """Runs jobs and keeps what went wrong, by name. A job never raises into a thread that nobody looks at."""

    def __init__(self, changed: threading.Condition, tell: Callable[[str, LambdaserveError], None]) -> None:
        """Start with nothing.

        Args:
            changed: Guards the jobs, and is notified when one ends.
            tell: Who is told of a job that failed.
        """
        self.problems: dict[str, LambdaserveError] = {}
        self._changed = changed
        self._tell = tell
        self._running: set[str] = set()

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Begin a job, unless one of that name is running. What went wrong with it before is forgotten."""
        with self._changed:
            if name in self._running:
                return
            self._running.add(name)
            self.problems.pop(name, None)
        # the context goes along, so that what is logged while loading carries the request that asked for it
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, name, work), name="load-models", daemon=True).start()

    def is_running(self, *names: str) -> bool:
        """Tell whether any of these jobs is running."""
        return not self._running.isdisjoint(names)

    def _run(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the next request tries again
            problem = _as_ours(error)
            self.problems[name] = problem
            self._tell(name, problem)
            # the frames that a traceback holds on to may hold a session
            problem.with_traceback(None).__context__ = None
            problem.__cause__ = None
        finally:  # whoever waits must not wait for an observer that fails
            with self._changed:
                self._running.discard(name)
                self._changed.notify_all()


def _as_ours(error: Exception) -> LambdaserveError:
    if isinstance(error, LambdaserveError):
        return error
    wrapped = ModelNotReady(f"loading: {type(error).__name__}, expected no such failure; the log says more")
    wrapped.__cause__ = error
    return wrapped
