"""Who asks: the identity that API Gateway has checked, by the signature of the request.

Where it stands in an event: "Set up Lambda proxy integrations in API Gateway" (REST) and "Create AWS Lambda proxy
integrations for HTTP APIs in API Gateway" (payload 2.0; function URLs likewise) in API Gateway's developer guide.
"""

from collections.abc import Mapping
from typing import Any

from handlers.errors import CallerUnknown

__all__ = ["find_caller"]

_REST = ("identity", "userArn")
_HTTP = ("authorizer", "iam", "userArn")


def find_caller(event: Mapping[str, Any] | None) -> str:
    """Return the ARN of who sent the request behind an event: it is never what the request itself says.

    Raises:
        CallerUnknown: API Gateway names nobody: the method is open to all, by mistake, or this is no event of its own.
    """
    context = (event or {}).get("requestContext")
    for path in (_REST, _HTTP):
        found = context
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if isinstance(found, str) and found.startswith("arn:"):
            return found
    msg = "caller: nobody, expected a request that AWS IAM has authorised; sign it with AWS Signature Version 4"
    raise CallerUnknown(msg)
