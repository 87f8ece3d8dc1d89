"""The paths of the document itself and of the page that shows it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from handlers.api.openapi.operations import Json, answers, operation

if TYPE_CHECKING:
    from handlers.api.openapi.described import DescribedModel

__all__ = ["paths"]

TAG = "About"


def paths(_: "Sequence[DescribedModel]") -> Json:
    """Return the paths that are there whatever is served."""
    document = answers({"application/json": {"schema": {"type": "object"}}})
    page = answers({"text/html": {"schema": {"type": "string"}}})
    return {
        "/openapi.json": {"get": operation("openapi", TAG, "This document.", document)},
        "/docs": {"get": operation("docs", TAG, "A page to read and to try it.", page, security=[])},
    }
