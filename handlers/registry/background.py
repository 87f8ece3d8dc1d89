"""Work that is done beside requests: each job in a thread of its own, by a name, and never twice at a time."""

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass

from handlers.errors import LambdaserveError, ModelNotReady

__all__ = ["Background", "Job", "Tell", "Work"]

Work = Callable[[], LambdaserveError | None]
"""What a job does. It raises what went wrong, or returns it where somebody was told already."""

Tell = Callable[[LambdaserveError], None]


@dataclass
class Job:
    """One run of a job: whether it goes on, and what went wrong with it."""

    running: bool = True
    problem: LambdaserveError | None = None


class Background:
    """Runs jobs. One never raises into a thread that nobody looks at."""

    def __init__(self, changed: threading.Condition) -> None:
        """Start with nothing. `changed` guards the jobs, and is notified when one ends."""
        self._changed = changed
        self._running: dict[str, Job] = {}

    def start(self, name: str, work: Work, tell: Tell) -> Job:
        """Begin a job in a thread, unless one of that name is running, and return the one that is.

        Args:
            name: Of the job.
            work: What it does.
            tell: Who is told what it raises.

        Raises:
            RuntimeError: There is no thread to be had.
        """
        with self._changed:
            if (running := self._running.get(name)) is not None:
                return running
            job = self._running[name] = Job()
            # the context goes along, so that what is logged while loading carries the request that asked for it
            run = contextvars.copy_context().run
            thread = threading.Thread(
                target=run, args=(self._run, name, job, work, tell), name="load-models", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                del self._running[name]
                raise
            return job

    def perform(self, name: str, work: Work, tell: Tell) -> Job:
        """Do a job in this thread, or wait for the one of that name that is running; return it when it has ended."""
        with self._changed:
            job = self._running.get(name)
            if job is not None:
                while job.running:
                    self._changed.wait()
                return job
            job = self._running[name] = Job()
        self._run(name, job, work, tell)
        return job

    def is_running(self, *names: str) -> bool:
        """Tell whether any of these jobs is running."""
        return not self._running.keys().isdisjoint(names)

    def _run(self, name: str, job: Job, work: Work, tell: Tell) -> None:
        try:
            job.problem = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the next request tries again
            problem = job.problem = _as_ours(error)
            tell(problem)
            # the frames that a traceback holds on to may hold a session
            problem.with_traceback(None).__context__ = None
            problem.__cause__ = None
        finally:  # whoever waits must not wait for an observer that fails
            with self._changed:
                job.running = False
                del self._running[name]
                self._changed.notify_all()


def _as_ours(error: Exception) -> LambdaserveError:
    if isinstance(error, LambdaserveError):
        return error
    wrapped = ModelNotReady(f"loading: {type(error).__name__}, expected no such failure; the log says more")
    wrapped.__cause__ = error
    return wrapped
