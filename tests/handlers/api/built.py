"""A model as a user gets it served: built, published, loaded and asked through Mangum."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from export import ModelSource
from export.build import build
from export.publish import publish
from handlers.api.app import create_app
from handlers.api.service import Service
from handlers.registry.models import Models
from handlers.registry.stores import open_store
from handlers.settings import Settings
from handlers.telemetry import Telemetry
from tests.export.sources import OPTIONS, silent
from tests.handlers.api.gateway import Gateway

__all__ = ["serving"]


@contextmanager
def serving(source: ModelSource, folder: Path) -> Iterator[Gateway]:
    """Build a source, with fp32 alone, publish it to a store in `folder`, and yield what answers for it."""
    build(source, folder / "artifact", replace(OPTIONS, variants=()), silent())
    settings = Settings(store_url=(folder / "store").as_uri(), scratch_dir=folder)
    publish(folder / "artifact", open_store(settings.store_url), settings.alias, silent())
    telemetry = Telemetry("INFO", emit_metrics=False)
    service = Service(Models(settings, telemetry), telemetry, settings.max_body_bytes)
    service.models.await_all(60)
    gateway = Gateway(create_app(service))
    try:
        yield gateway
    finally:
        gateway.close()
