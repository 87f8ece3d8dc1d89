"""What went wrong in S3, in the words of the house."""

from http import HTTPStatus

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from handlers.errors import ObjectNotFound, StoreError, StoreUnavailable

__all__ = ["FAILURES", "explain", "is_missing_object", "status"]

FAILURES = (BotoCoreError, ClientError, ResponseParserError, HTTPError)
"""All that a call can raise, or reading its body: settings, network, refusals, answers that S3 would not give."""


def explain(error: Exception, subject: str, bucket: str) -> StoreError:
    """Return what to raise from one of `FAILURES`; `subject` is the URL of what was asked for."""
    if not isinstance(error, ClientError):
        return StoreUnavailable(f"{subject}: {error}, expected an answer from S3; try again")
    if is_missing_object(error):
        return ObjectNotFound(f"{subject}: nothing there, expected an object")
    code = error.response["Error"].get("Code", "")
    found = f"{code} {error.response['Error'].get('Message', '')} (HTTP {status(error)})"
    if code == "NoSuchBucket":
        return StoreUnavailable(f"{subject}: no bucket {bucket}, expected it to exist; create it or correct the URL")
    if status(error) == HTTPStatus.FORBIDDEN:
        hint = "S3 also answers 403 for a missing key to those without s3:ListBucket"
        return StoreUnavailable(f"{subject}: {found}, expected permission for {error.operation_name}; {hint}")
    return StoreUnavailable(f"{subject}: {found}, expected {error.operation_name} to be done; try again")


def is_missing_object(error: ClientError) -> bool:
    """Tell whether the bucket is there and the object is not. The answer to a HEAD says only 404."""
    return status(error) == HTTPStatus.NOT_FOUND and error.response["Error"].get("Code") in {"NoSuchKey", "404"}


def status(error: ClientError) -> int:
    """Return the HTTP status."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]
