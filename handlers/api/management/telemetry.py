"""What the management function says of itself: a line for each change, counts of calls. Nothing of a body."""

import logging

from handlers.telemetry import Telemetry

__all__ = ["ManagementTelemetry"]

_REFUSED = 400  # and above


class ManagementTelemetry(Telemetry):
    """Logger and metrics of one process."""

    def called(self, status: int) -> None:
        """Count a request. One set of dimensions: names of models come from outside, and each would cost."""
        counts = {"ManagementCalls": 1}
        if status >= _REFUSED:
            counts["ManagementErrors"] = 1
        self._emit(None, None, counts=counts, status=str(status))

    def changed(  # noqa: PLR0913 - what there is to say
        self,
        action: str,
        model: str,
        *,
        operation: str,
        caller: str,
        outcome: str,
        alias: str | None = None,
        version: str | None = None,
    ) -> None:
        """Log a change that was asked for: who asked for what, under which id, and "done" or the error's code."""
        self._log(logging.INFO, "change asked for", action=action, model=model, version=version, alias=alias,
                  operation=operation, caller=caller, outcome=outcome)  # fmt: skip
