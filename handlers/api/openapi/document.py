"""The OpenAPI document of a service: made of the models that it serves, not of Python signatures.

Version 3.0.3, whose dialect of JSON Schema is that of the tasks: https://spec.openapis.org/oas/v3.0.3.
"""

from collections.abc import Collection, Sequence

import msgspec

from handlers import __version__
from handlers.api.openapi import kserve, oip, openai, pages, payloads, repository, sagemaker
from handlers.api.openapi.described import DescribedModel
from handlers.api.openapi.operations import ERROR_SCHEMAS, Json

__all__ = ["build_document"]

_PATHS = (oip.paths, repository.paths, kserve.paths, openai.paths, sagemaker.paths, payloads.paths, pages.paths)
"""By protocol: the paths that are there whatever is served. Those that the application has are described."""

_SCHEMAS: Json = ERROR_SCHEMAS | oip.SCHEMAS | repository.SCHEMAS | kserve.SCHEMAS | openai.SCHEMAS

_DESCRIPTION = """\
Models behind the Open Inference Protocol, version 2, and other protocols. Every model that is loaded has operations \
of its own, with an example that is answered; those with a name in braces are for all models.

Where the API asks for a key, it goes into the header `x-api-key`. Every path that takes GET takes HEAD; OPTIONS tells \
the methods of a path; other methods are answered 405.
"""


def build_document(models: Sequence[DescribedModel], routed: Collection[str], root: str) -> bytes:
    """Return the document in JSON.

    Args:
        models: Those that it has paths for.
        routed: Paths of the application's routes, with `{model}` for names.
        root: What stands before the paths where clients call them: `/prod`; empty: nothing.
    """
    document: Json = {
        "openapi": "3.0.3",
        "info": {"title": "lambdaserve", "version": __version__, "description": _DESCRIPTION},
        "servers": [{"url": root or "/"}],
        "security": [{"api_key": []}, {}],
        "tags": [
            *({"name": model.name, "description": model.text} for model in models),
            {"name": oip.TAG, "description": "For any model, with tensors."},
            {"name": kserve.TAG, "description": "For any model, in the form of its task."},
            {"name": pages.TAG},
        ],
        "paths": {},
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
            "schemas": _SCHEMAS,
        },
    }
    for model in models:
        document["paths"] |= model.paths
    for describe_all in _PATHS:
        document["paths"] |= {path: item for path, item in describe_all(models).items() if path in routed}
    return msgspec.json.encode(document)
