"""What boto3 raises, in the words of the house."""

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from handlers.errors import StoreError, StoreUnavailable
from handlers.registry.stores.s3_refusals import Refusal

__all__ = ["FAILURES", "explain", "is_missing_object", "status"]

FAILURES = (BotoCoreError, ClientError, ResponseParserError, HTTPError)
"""All that a call can raise, or reading its body: settings, network, refusals, answers that S3 would not give."""


def explain(error: Exception, subject: str, bucket: str) -> StoreError:
    """Return what to raise from one of `FAILURES`; `subject` is the URL of what was asked for."""
    if not isinstance(error, ClientError):
        return StoreUnavailable(f"{subject}: {error}, expected an answer from S3; try again")
    return _refusal(error).explain(subject, bucket)


def is_missing_object(error: ClientError) -> bool:
    """Tell whether the bucket is there and the object is not."""
    return _refusal(error).is_missing_object


def status(error: ClientError) -> int:
    """Return the HTTP status."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


def _refusal(error: ClientError) -> Refusal:
    said = error.response["Error"]
    return Refusal(status(error), said.get("Code", ""), said.get("Message", ""), error.operation_name)
