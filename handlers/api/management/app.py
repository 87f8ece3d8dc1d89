"""The management application: routes, refusals, and the boundary around them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from handlers.api.management import changing, publishing, reading
from handlers.api.management.boundary import Boundary
from handlers.api.management.refusals import add_refusals
from handlers.api.management.service import Management

__all__ = ["create_app"]

_TITLE = "lambdaserve management"
_DESCRIPTION = "Versions and aliases of models. Each request is signed with AWS Signature Version 4."


def create_app(management: Management) -> FastAPI:
    """Return the application that manages the models of a store."""
    settings = management.settings
    app = FastAPI(
        title=_TITLE,
        description=_DESCRIPTION,
        docs_url=None,  # a page in a browser could not sign its requests
        redoc_url=None,
        redirect_slashes=False,  # a redirect would lose the stage that API Gateway puts before the path
        middleware=[
            Middleware(
                Boundary,
                telemetry=management.telemetry,
                max_body_bytes=settings.max_body_bytes,
                base_path=settings.base_path,
            )
        ],
    )
    app.state.management = management
    for routes in (reading.router, changing.router, publishing.router):
        app.include_router(routes)
    add_refusals(app)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]  # FastAPI's way to change it
    return app


def _describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; what pydantic refuses is answered with 400 here, not with FastAPI's 422."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for methods in document["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
