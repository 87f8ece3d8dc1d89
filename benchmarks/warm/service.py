"""The application under measurement, with its logs and metrics on, and sent to nowhere."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from starlette.applications import Starlette

from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.models import Models
from handlers.settings import Settings
from handlers.telemetry import Telemetry

__all__ = ["make_app", "silence"]


def make_app(store_url: str) -> tuple[Starlette, Models]:
    """Return the application over a store, and its models, all loaded."""
    settings = Settings(store_url=store_url)
    telemetry = Telemetry("INFO")
    models = Models(settings, telemetry)
    models.await_all(60)
    return create_app(Service(models, telemetry, settings.max_body_bytes)), models


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send what the service prints nowhere, but let it print."""
    with Path(os.devnull).open("w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink):
        yield
    sys.stdout.flush()
