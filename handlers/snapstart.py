"""What Lambda SnapStart asks for: everything loaded before the snapshot, nothing stale after a restore.

Each environment of a published version begins as the same copy of one process. What must not be the same in all of
them, or has gone meanwhile, is renewed here: random state, connections, credentials, and what aliases name.
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
"""

import os
import random
import ssl
import sys
import time

from handlers.errors import ModelNotReady
from handlers.registry.models import Models
from handlers.telemetry import Telemetry

__all__ = ["SnapshotHooks"]

_LOADING_S = 110.0
"""For loading before the snapshot. Lambda grants an init that ends in one 130 s, or the function's timeout if longer;
the imports have taken their part."""
_ENTROPY_BYTES = 32


class SnapshotHooks:
    """What is done before the snapshot and after each restore."""

    def __init__(self, models: Models, telemetry: Telemetry, resume_wait_s: float) -> None:
        """Do nothing yet.

        Args:
            models: Those that are loaded before the snapshot.
            telemetry: Who is told.
            resume_wait_s: How long a restore waits for aliases, and for models that they name by then. Lambda grants
                10 s for all of a restore, and kills what takes longer.
        """
        self._models = models
        self._telemetry = telemetry
        self._resume_wait_s = resume_wait_s

    def register(self) -> None:
        """Hand both to the runtime client, which calls them. Lambda's Python runtime brings the registry."""
        from snapshot_restore_py import register_after_restore, register_before_snapshot  # nowhere else is it there

        register_before_snapshot(self.before_snapshot)
        register_after_restore(self.after_restore)

    def before_snapshot(self) -> None:
        """Load what is loaded at the start, with the code that answers need beside it, and let go of the store.

        Nothing else is open by then: the payload bucket is opened by the first request that needs it.

        Raises:
            ModelNotReady: A model is not there. The runtime client reports it and Lambda refuses to publish the
                version: each environment made of such a snapshot would load the model again, and nobody would know.
        """
        try:
            models = self._models.suspend(_LOADING_S)
        except ModelNotReady as error:
            msg = (
                f"snapshot: {error}, expected every model of the start to be loaded before it is taken; publish the "
                "model, then this version of the function, or turn SnapStart off"
            )
            raise ModelNotReady(msg) from error
        _import_the_rest()
        self._models.timeline.restart()
        self._telemetry.suspended(models)

    def after_restore(self) -> None:
        """Renew random state, and read what the aliases name by now, over new connections with new credentials.

        What cannot be seen, or loaded, in time does not fail the restore: the model is not handed out, and the first
        request for it waits, tries again, and is told why.
        """
        start = time.perf_counter()
        with self._models.timeline.span("restore"):
            _reseed()
            models = self._models.resume(self._resume_wait_s)
        self._telemetry.resumed(models, (time.perf_counter() - start) * 1000)


def _import_the_rest() -> None:
    """Import what a first request may need: on a cold start it waits for that, in a snapshot it costs nothing."""
    import handlers.payloads.bucket
    import handlers.runtime.goldens
    import handlers.runtime.session
    import handlers.tasks.opening  # noqa: F401


def _reseed() -> None:
    """Let generators go on differently in each environment.

    Ids draw from the kernel, and so does each seed here; Lambda sees to it that the kernel's numbers differ
    (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html). OpenSSL looks for fresh entropy after a
    fork, not after a restore. Temporary files have the same names everywhere; each environment has a /tmp of its own.
    """
    random.seed()
    ssl.RAND_add(os.urandom(_ENTROPY_BYTES), _ENTROPY_BYTES)
    if (numpy_random := sys.modules.get("numpy.random")) is not None:  # else it seeds itself when it is imported
        numpy_random.seed()
