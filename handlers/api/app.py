"""The web application: the same one on Lambda and in `lambdaserve serve`."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from handlers.api.boundary import Boundary
from handlers.api.routes import add_routes_when_needed
from handlers.api.service import Service
from handlers.api.shortcut import Shortcut
from handlers.api.statuses import error_response, refusal
from handlers.errors import LambdaserveError

__all__ = ["create_app"]


def create_app(service: Service, *, cors_origins: Sequence[str] = (), base_path: str = "") -> Starlette:
    """Return the application that answers for the models of `service`.

    A Starlette application, not FastAPI's subclass of it: bodies are read by the protocols' own parsers and described
    from the served models, so that FastAPI had nothing to do but to be imported, for longer than all else together
    (docs/decisions/0006). FastAPI applications can mount it.

    Args:
        service: The models, and what the protocols share.
        cors_origins: Origins whose pages may call it; "*": all.
        base_path: What a custom domain or a proxy puts before the paths, as `/ml`.
    """
    app = Starlette(
        middleware=[
            Middleware(Boundary, service=service, cors_origins=cors_origins, base_path=base_path),
            Middleware(Shortcut),
        ],
        exception_handlers={LambdaserveError: _refuse, HTTPException: _refuse_route},
    )
    add_routes_when_needed(app.router)
    app.router.redirect_slashes = False  # a redirect would lose the stage that API Gateway puts before the path
    app.state.service = service
    return app


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
