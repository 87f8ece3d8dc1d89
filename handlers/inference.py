"""Composition root of the inference function: `handler` is what Lambda calls. Nobody imports this module.

The order is the cold path's: the models' bytes are on their way while the web framework is imported.
"""

from handlers.timeline import Timeline

timeline = Timeline()
start_s = timeline.now_s()
timeline.add("interpreter", 0.0, start_s)

with timeline.span("settings"):
    from handlers.settings import Settings

    settings = Settings.from_environ()

with timeline.span("store"):
    from handlers.registry.ahead import open_ahead

    store = open_ahead(settings)

with timeline.span("registry_import"):  # while the aliases are on their way
    from handlers.registry.models import Models
    from handlers.telemetry import Telemetry

    telemetry = Telemetry(settings.log_level)

models = Models(settings, telemetry, timeline, store)
del store  # else its connections would stay open when the models let go of it
models.start()

with timeline.span("web_import"):  # while the transfer runs
    from mangum import Mangum

    from handlers.api.answers import AnswerLimit
    from handlers.api.app import create_app
    from handlers.api.service import Service
    from handlers.payloads.payloads import Payloads

    payloads = Payloads(settings.payloads_url, settings.max_payload_bytes, telemetry)
    app = create_app(
        Service(models, telemetry, settings.max_body_bytes, AnswerLimit(settings.max_answer_bytes), payloads=payloads),
        cors_origins=settings.cors_origins,
        base_path=settings.base_path,
    )
    handler = Mangum(app, lifespan="off")  # startup and shutdown would run on every invocation otherwise

if settings.snap_start:
    from handlers.api.routes import add_routes
    from handlers.snapstart import SnapshotHooks

    add_routes(app.router)
    # takes over the waiting: an init that ends in a snapshot may take far longer
    SnapshotHooks(models, telemetry, settings.init_wait_s).register()
else:
    # Lambda stops an init after 10 s and runs it again from the start: what is not loaded by then goes on in the first
    # invocation, which waits for it
    models.wait(max(0.0, settings.init_wait_s - (timeline.now_s() - start_s)))
    telemetry.started(timeline.phases_ms)
