"""Composition root of the management function: `handler` is what Lambda calls. Nobody imports this module.

It has no cold path to speak of: people and pipelines wait for it, a few times a day.
"""

from mangum import Mangum

from handlers.api.management.app import create_app
from handlers.api.management.service import Management
from handlers.api.management.telemetry import ManagementTelemetry
from handlers.settings import Settings

settings = Settings.from_environ()
handler = Mangum(create_app(Management(settings, ManagementTelemetry(settings.log_level))), lifespan="off")
