"""The web application: the same one on Lambda and in `lambdaserve serve`."""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from handlers import __version__
from handlers.api import kserve, oip, openai, pages, payloads, sagemaker
from handlers.api.boundary import Boundary
from handlers.api.service import Service
from handlers.api.shortcut import Shortcut
from handlers.api.statuses import error_response, refusal
from handlers.errors import LambdaserveError

__all__ = ["create_app"]


def create_app(service: Service, *, cors_origins: Sequence[str] = (), base_path: str = "") -> FastAPI:
    """Return the application that answers for the models of `service`.

    Args:
        service: The models, and what the protocols share.
        cors_origins: Origins whose pages may call it; "*": all.
        base_path: What a custom domain or a proxy puts before the paths, as `/ml`.
    """
    # pages about the API are made from the loaded models, not from Python signatures; a redirect would lose the stage
    # that API Gateway puts before the path
    app = _Application(service, cors_origins, base_path)
    app.state.service = service
    routes = [*oip.routes, *kserve.routes, *openai.routes, *sagemaker.routes, *payloads.routes, *pages.routes]
    app.router.routes.extend(routes)
    app.add_exception_handler(LambdaserveError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    return app


class _Application(FastAPI):
    """FastAPI with the layers that are needed here and no others: each of its own takes some microseconds of a call."""

    def __init__(self, service: Service, cors_origins: Sequence[str], base_path: str) -> None:
        telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
        super().__init__(
            title="lambdaserve", version=__version__, openapi_url=None, redirect_slashes=False, telemetry=telemetry
        )
        self._bound = partial(Boundary, service=service, cors_origins=cors_origins, base_path=base_path)

    def build_middleware_stack(self) -> ASGIApp:
        """Return what every request goes through. `Boundary` answers for faults, so that nothing else has to."""
        return self._bound(Shortcut(ExceptionMiddleware(self.router, self.exception_handlers)))


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, LambdaserveError)  # noqa: S101 - Starlette's handlers are typed for any Exception
    return refusal(error)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    scope = request.scope
    headers = dict(error.headers or {})
    expected = "a path that docs/service.md lists"
    if error.status_code == _NOT_ALLOWED:
        headers["Allow"] = allowed = ", ".join(_allowed_methods(request))
        expected = f"one of {allowed}"
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    found = f"{request.method[:20]} {path[:80]}"
    return error_response(error.status_code, f"{found}: {error.detail}, expected {expected}", headers)


_NOT_ALLOWED = 405


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes that the path matches: Starlette names those of the first alone."""
    routes = [route for route in request.app.router.routes if isinstance(route, Route)]
    matching = [route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({"OPTIONS"}.union(*matching))
