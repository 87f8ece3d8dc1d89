"""Headers of a request, straight from where ASGI has them: Starlette's `Headers` takes five times as long for each."""

from typing import TYPE_CHECKING

from starlette.requests import Request

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["MODEL_VERSION", "header", "header_of"]

MODEL_VERSION = b"x-model-version"
"""Names a version or an alias in a request, and the version that answered in an answer."""


def header(request: Request, name: bytes) -> str | None:
    """Return the first header of that name, which is in lower case; None: there is none."""
    return header_of(request.scope, name)


def header_of(scope: "Scope", name: bytes) -> str | None:
    """Return what `header` does, of a request as ASGI has it."""
    for found, value in scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return None
