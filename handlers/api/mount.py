"""Where an API is mounted: what API Gateway puts before the paths that this application knows, and how it tells.

| way in | path in the event | root that clients see |
|---|---|---|
| REST API | without the stage | `/{stage}` |
| HTTP API, stage `$default`; function URL | as it was sent | none |
| HTTP API, a named stage | with the stage before it | `/{stage}`; on a custom domain the base path |
| custom domain of a REST API, or with payload 1.0 | with the base path before it | the base path |

Events of payload 1.0 and 2.0: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway" and "Set up Lambda
proxy integrations in API Gateway" in API Gateway's developer guide.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["mount"]


def mount(scope: "Scope", base_path: str) -> None:
    """Set `root_path` to where clients find this application, and `path` to the whole path, as ASGI has them.

    Args:
        scope: Of an HTTP request, from Mangum or from a server.
        base_path: What a custom domain or a proxy puts before the paths, as `/ml`; empty: nothing.
    """
    path: str = scope["path"]
    if base_path and _is_below(path, base_path):
        scope["root_path"] = base_path
        return
    event = scope.get("aws.event")
    if event is None:
        return
    context: dict[str, Any] = event["requestContext"]
    stage = f"/{context.get('stage', _NO_STAGE)}"
    # a domain that API Gateway has made begins with the id of the API
    own_domain = str(context.get("domainName", "")).startswith(context.get("apiId") or "/")
    root = stage if own_domain else base_path
    if "version" in event:  # an HTTP API or a function URL; REST APIs do not say theirs
        if stage != f"/{_NO_STAGE}" and _is_below(path, stage):
            scope["root_path"] = root
            scope["path"] = root + path[len(stage) :]
    elif own_domain:
        scope["root_path"] = root
        scope["path"] = root + path


_NO_STAGE = "$default"


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")
