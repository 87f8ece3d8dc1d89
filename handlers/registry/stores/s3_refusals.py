"""What S3 says when it does not do what it was asked, in the words of the house. Needs no boto3."""

from dataclasses import dataclass
from http import HTTPStatus

from handlers.errors import ObjectNotFound, StoreError, StoreUnavailable

__all__ = ["Refusal"]


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error: HTTP status, S3's own code and words, and what was asked, such as `GetObject`.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    status: int
    code: str
    message: str
    operation: str

    @property
    def is_missing_object(self) -> bool:
        """Whether the bucket is there and the object is not. The answer to a HEAD says only 404."""
        return self.status == HTTPStatus.NOT_FOUND and self.code in {"NoSuchKey", "404"}

    def explain(self, subject: str, bucket: str) -> StoreError:
        """Return what to raise; `subject` is the URL of what was asked for."""
        if self.is_missing_object:
            return ObjectNotFound(f"{subject}: nothing there, expected an object")
        found = f"{self.code} {self.message} (HTTP {self.status})"
        if self.code == "NoSuchBucket":
            return StoreUnavailable(
                f"{subject}: no bucket {bucket}, expected it to exist; create it or correct the URL"
            )
        if self.status == HTTPStatus.FORBIDDEN:
            hint = "S3 also answers 403 for a missing key to those without s3:ListBucket"
            return StoreUnavailable(f"{subject}: {found}, expected permission for {self.operation}; {hint}")
        return StoreUnavailable(f"{subject}: {found}, expected {self.operation} to be done; try again")
