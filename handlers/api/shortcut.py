"""The shortest way to what is asked most: inference goes to its endpoint past the framework's routes and layers.

They take some 15 us of a small request. The routes stay: they answer for other methods.
"""

from typing import TYPE_CHECKING

from starlette.requests import Request

from handlers.api.oip.inference import answer_inference
from handlers.api.statuses import refusal
from handlers.errors import LambdaserveError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Shortcut"]

_PREFIX = "/v2/models/"
_SUFFIX = "/infer"


class Shortcut:
    """ASGI middleware: answers `POST /v2/models/{model}[/versions/{version}]/infer`, and hands on all others."""

    def __init__(self, app: "ASGIApp") -> None:
        """Take the application that answers all others."""
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle a request, as ASGI has it."""
        names = _path_names(scope)
        if names is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = names
        try:
            response = await answer_inference(Request(scope, receive))
        except LambdaserveError as error:
            response = refusal(error)
        await response(scope, receive, send)


def _path_names(scope: "Scope") -> dict[str, str] | None:
    """Return what the path names, as the routes in handlers.api.oip.inference have it; None: it is not for them."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
        return None
    match path[len(_PREFIX) : -len(_SUFFIX)].split("/"):
        case [model] if model:
            return {"model": model}
        case [model, "versions", version] if model and version:
            return {"model": model, "version": version}
        case _:
            return None
