"""Composition root of the inference function: `handler` is what Lambda calls. Nobody imports this module.

The order is the cold path's: the models' bytes are on their way while the web framework is imported.
"""

import time

_START = time.monotonic()

from handlers.registry.models import Models  # noqa: E402 - the clock comes first
from handlers.settings import Settings  # noqa: E402
from handlers.telemetry import Telemetry  # noqa: E402

settings = Settings.from_environ()
telemetry = Telemetry(settings.log_level)
models = Models(settings, telemetry)
models.start()

from mangum import Mangum  # noqa: E402 - imported while the transfer runs

from handlers.api.answers import AnswerLimit  # noqa: E402
from handlers.api.app import create_app  # noqa: E402
from handlers.api.service import Service  # noqa: E402
from handlers.payloads.payloads import Payloads  # noqa: E402

payloads = Payloads(settings.payloads_url, settings.max_payload_bytes, telemetry)
app = create_app(
    Service(models, telemetry, settings.max_body_bytes, AnswerLimit(settings.max_answer_bytes), payloads=payloads),
    cors_origins=settings.cors_origins,
    base_path=settings.base_path,
)
handler = Mangum(app, lifespan="off")  # startup and shutdown would run on every invocation otherwise

if settings.snap_start:
    from handlers.snapstart import SnapshotHooks

    # takes over the waiting: an init that ends in a snapshot may take far longer
    SnapshotHooks(models, telemetry, settings.init_wait_s).register()
else:
    # Lambda stops an init after 10 s and runs it again from the start: what is not loaded by then goes on in the first
    # invocation, which waits for it
    models.wait(max(0.0, settings.init_wait_s - (time.monotonic() - _START)))
