"""The API's description and the page that shows it: Swagger UI, with nothing loaded from any other host.

Neither is imported, read or built before somebody asks for it.
"""

import asyncio
import functools
import hashlib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.api.service import service_of
from handlers.errors import LambdaserveError

if TYPE_CHECKING:
    from handlers.api.openapi.described import Descriptions

__all__ = ["routes"]

_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
_OURS = ("page.js", "page.css")
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")

_PAGE_HEADERS = {
    # the icons of Swagger UI are in its style sheet, as data
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_FILE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "public, max-age=31536000, immutable",  # the page names them with a hash of what is in them
}


async def _openapi(request: Request) -> Response:
    service, root = service_of(request), request.scope.get("root_path", "")
    with suppress(LambdaserveError):  # what can be served is described
        await service.await_all(request.scope)
    ready = service.models.defaults
    known, document = getattr(request.app.state, "openapi", (None, b""))
    if known != (root, ready):
        from handlers.api.openapi.described import Descriptions

        state = request.app.state
        if not hasattr(state, "descriptions"):
            state.descriptions = Descriptions(service.models)
        key, document = await asyncio.to_thread(_build, request.app, state.descriptions, root)
        state.openapi = (key, document)
    return Response(document, media_type="application/json", headers={"Cache-Control": "no-cache"})


def _build(app: Starlette, descriptions: "Descriptions", root: str) -> tuple[object, bytes]:
    """Return what the document is made for, and itself."""
    from handlers.api.openapi.document import build_document

    models = descriptions.read()
    routed = {route.path_format for route in app.router.routes if isinstance(route, Route)}
    return (root, [(model.name, model.version) for model in models]), build_document(models, routed, root)


async def _docs(_: Request) -> Response:
    return Response(_page(), media_type="text/html", headers=_PAGE_HEADERS)


async def _docs_file(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in _OURS + _SWAGGER:
        raise HTTPException(404)
    return Response(_read(name), media_type=_TYPES[Path(name).suffix], headers=_FILE_HEADERS)


@functools.cache
def _page() -> str:
    page = (_folder() / "page.html").read_text(encoding="utf-8")
    for name in _OURS + _SWAGGER:
        page = page.replace(f"{{{name}}}", hashlib.sha256(_read(name)).hexdigest()[:16])
    return page


def _read(name: str) -> bytes:
    if name in _OURS:
        return (_folder() / name).read_bytes()
    spec = find_spec("fastapi_swagger")  # found, not imported: its code has no part in this
    if spec is None or spec.origin is None:
        msg = "fastapi_swagger: not installed, expected it beside this package"
        raise RuntimeError(msg)
    return (Path(spec.origin).parent / "resources" / name).read_bytes()


def _folder() -> Path:
    return Path(__file__).parent / "docs"


routes = [
    Route("/openapi.json", _openapi),
    Route("/docs", _docs),
    Route("/docs/{file}", _docs_file),
]
