"""What the service says of itself: structured log lines and metrics. Never anything from a request's body.

Metrics go out in CloudWatch's Embedded Metric Format (EMF), one line on stdout each:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import contextvars
import logging
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TextIO

from handlers.errors import LambdaserveError
from handlers.metrics import write_metrics
from handlers.registry.loading import LoadedModel
from handlers.registry.states import ModelState
from handlers.timeline import Timeline

__all__ = ["NAMESPACE", "SERVICE", "Telemetry", "request_id"]

SERVICE = "lambdaserve"
NAMESPACE = "lambdaserve"

_PHASES_OF_PROCESS = ("interpreter", "settings", "store", "registry_import", "list", "web_import")

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
"""Id of the request that is being answered, None outside of one: Lambda's, or one made up elsewhere."""


class Telemetry:
    """Logger and metrics of one process. Implements `LoadObserver` and `PayloadObserver`."""

    def __init__(self, log_level: str, *, log_stream: TextIO | None = None, emit_metrics: bool = True) -> None:
        """Set up logging.

        Args:
            log_level: "DEBUG" to "ERROR".
            log_stream: Where log lines go; None: stdout, which Lambda sends to CloudWatch.
            emit_metrics: Whether to print metrics; only CloudWatch makes anything of them.
        """
        self._log_level = log_level
        self._log_stream = log_stream
        self._opening = threading.Lock()
        self._emit_metrics = emit_metrics
        self._restored = False
        # Mangum logs the path of each request at INFO: nothing of a request is logged here
        logging.getLogger("mangum").setLevel(logging.ERROR)

    @cached_property
    def _writers(self) -> dict[int, Callable[..., None]]:
        """What writes a line, by level. Opened with the first line, which is written when models are on their way."""
        from aws_lambda_powertools import Logger  # 9 ms

        with self._opening:
            logger = Logger(service=SERVICE, level=self._log_level, stream=self._log_stream, location=None)
        return {logging.INFO: logger.info, logging.WARNING: logger.warning, logging.ERROR: logger.error}

    def started(self, phases_ms: Mapping[str, float]) -> None:
        """Log that the init phase has ended, and report those of its phases that are no model's."""
        phases = {name: phases_ms[name] for name in _PHASES_OF_PROCESS if name in phases_ms}
        self._log(logging.INFO, "environment started", phases_ms=_rounded(phases))
        self._emit(None, None, counts={}, milliseconds=_cold_start(phases))

    def model_loaded(self, model: LoadedModel) -> None:
        """Log a model that is ready and report the phases of its cold start."""
        self._log(logging.INFO, "model loaded", model=model.name, version=model.version, variant=model.variant.name,
                  phases_ms=_rounded(model.phases_ms))  # fmt: skip
        milliseconds = _cold_start(model.phases_ms)
        if request_id.get() is None and not self._restored:  # begun in the init phase: no idle time lies before it
            milliseconds["ColdStart"] = Timeline.now_s() * 1000
        self._emit(
            model.name, model.version, counts={"ColdStarts": 1}, milliseconds=milliseconds, variant=model.variant.name
        )

    def load_failed(self, model: str, error: LambdaserveError) -> None:
        """Log a model that cannot be served; `model` is empty where it is the store as a whole."""
        stack = traceback.format_exception(error.__cause__) if error.__cause__ else None
        self._log(logging.ERROR, "loading failed", model=model, error=error.code, reason=str(error), stack=stack)
        self._emit(model or None, None, counts={"LoadFailures": 1})

    def variant_passed_over(self, model: str, version: str, variant: str, error: LambdaserveError) -> None:
        """Log a variant that was proven where it was built and cannot be used here."""
        self._log(logging.WARNING, "variant passed over", model=model, version=version, variant=variant,
                  error=error.code, reason=str(error))  # fmt: skip
        self._emit(model, version, counts={"VariantsPassedOver": 1}, variant=variant)

    def model_dropped(self, model: str, version: str) -> None:
        """Log a version that is loaded no more: others needed its memory, it was replaced, or unloaded."""
        self._log(logging.INFO, "model dropped", model=model, version=version)
        self._emit(model, version, counts={"ModelsDropped": 1})

    def alias_moved(self, model: str, alias: str, before: str, after: str) -> None:
        """Log that requests by an alias get what it names by now."""
        fields = {"alias": alias, "from": before, "to": after}
        self._log(logging.INFO, "alias moved", model=model, **fields)
        self._emit(model, None, counts={"AliasSwaps": 1})

    def alias_check_failed(self, model: str, error: LambdaserveError) -> None:
        """Log that a model's aliases could not be read; what they named goes on answering."""
        self._log(logging.ERROR, "alias check failed", model=model, error=error.code, reason=str(error))
        self._emit(model, None, counts={"AliasCheckFailures": 1})

    def suspended(self, models: Sequence[ModelState]) -> None:
        """Log what is in the snapshot that Lambda takes of this process now."""
        self._restored = True  # whoever goes on from here
        self._log(logging.INFO, "ready for a snapshot", models=_versions(models))

    def resumed(self, models: Sequence[ModelState], elapsed_ms: float) -> None:
        """Log a restore from a snapshot, and which of its models can be handed out already."""
        ready = _versions([model for model in models if model.state == "READY"])
        waiting = {model.name: model.reason or "loading" for model in models if model.state != "READY"}
        self._log(logging.INFO, "restored from a snapshot", models=ready, not_ready=waiting or None,
                  elapsed_ms=round(elapsed_ms, 2))  # fmt: skip
        self._emit(None, None, counts={"Restores": 1}, milliseconds={"RestoreDuration": elapsed_ms})

    def answered(self, model: LoadedModel, latency_ms: float) -> None:
        """Report a prediction that went out."""
        self._emit(
            model.name,
            model.version,
            counts={"Requests": 1},
            milliseconds={"Latency": latency_ms},
            variant=model.variant.name,
        )

    def refused(self, model: LoadedModel, code: str) -> None:
        """Report a prediction that was refused or failed, by the error's code: its message may quote the request."""
        self._log(logging.INFO, "request refused", model=model.name, version=model.version, error=code)
        self._emit(model.name, model.version, counts={"Requests": 1, "Errors": 1}, error=code)

    def crashed(self, error: Exception) -> None:
        """Log a fault of ours: its type and where it happened, not its message, which may quote the request."""
        stack = traceback.format_tb(error.__traceback__)
        self._log(logging.ERROR, "internal error", error=type(error).__name__, stack=stack)
        self._emit(None, None, counts={"Crashes": 1})

    def payloads_moved(self, *, issued: int = 0, received: int = 0, sent: int = 0) -> None:
        """Count payloads: addresses handed out, payloads fetched for a request, payloads stored for an answer."""
        found = {"PayloadsIssued": issued, "PayloadsIn": received, "PayloadsOut": sent}
        self._emit(None, None, counts={name: count for name, count in found.items() if count})

    def payload_failed(self, error: LambdaserveError) -> None:
        """Log that the payload bucket did not do what was asked. Errors of payloads name no keys; their causes do."""
        self._log(logging.ERROR, "payload bucket failed", error=error.code, reason=str(error))
        self._emit(None, None, counts={"PayloadFailures": 1})

    def setting_refused(self, error: LambdaserveError) -> None:
        """Log settings that make no sense: nothing can be served until they are mended."""
        self._log(logging.ERROR, "settings refused", error=error.code, reason=str(error))

    def _log(self, level: int, message: str, **fields: object) -> None:
        fields["request_id"] = request_id.get()
        present = {name: value for name, value in fields.items() if value is not None}
        self._writers[level](message, extra=present)

    def _emit(
        self,
        model: str | None,
        version: str | None,
        *,
        counts: dict[str, int],
        milliseconds: dict[str, float] | None = None,
        **metadata: str,
    ) -> None:
        if not self._emit_metrics:
            return
        dimensions = {"service": SERVICE}
        if model:
            dimensions["model"] = model
        if version:
            dimensions["version"] = version
        if (identifier := request_id.get()) is not None:
            metadata["request_id"] = identifier
        write_metrics(NAMESPACE, dimensions, counts, milliseconds or {}, metadata)


def _versions(models: Iterable[ModelState]) -> dict[str, str]:
    """Return the versions of each model, in one text."""
    found: dict[str, str] = {}
    for model in models:
        found[model.name] = f"{found[model.name]}, {model.version}" if model.name in found else str(model.version)
    return found


def _rounded(phases_ms: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in phases_ms.items()}


def _cold_start(phases_ms: Mapping[str, float]) -> dict[str, float]:
    return {f"ColdStart{_camel(phase)}": value for phase, value in phases_ms.items()}


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
