"""`lambdaserve serve`: the application that Lambda runs, embedded in a server of its own. Needs no torch."""

import sys

import uvicorn

from handlers.api.answers import AnswerLimit
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.payloads.payloads import Payloads
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry

__all__ = ["serve"]


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve the models of a store over HTTP until interrupted. Logs go to stderr; metrics, CloudWatch's, nowhere."""
    telemetry = Telemetry(settings.log_level, log_stream=sys.stderr, emit_metrics=False)
    models = Models(settings, telemetry)
    models.start()
    service = Service(
        models,
        telemetry,
        settings.max_body_bytes,
        AnswerLimit(settings.max_answer_bytes),
        shares_loop=True,
        managed=True,
        payloads=Payloads(settings.payloads_url, settings.max_payload_bytes, telemetry),
    )
    app = create_app(service, cors_origins=settings.cors_origins, base_path=settings.base_path)
    # no access log: nothing of a request is logged; no proxy's headers: nobody asks for the client's address or scheme
    uvicorn.run(app, host=host, port=port, access_log=False, proxy_headers=False, log_level="warning", lifespan="off")
