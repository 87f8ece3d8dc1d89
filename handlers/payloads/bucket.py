"""The bucket behind the payloads. Endpoint, region and credentials are the standard AWS settings of boto3.

What S3 and boto3 say of a failure names keys, accounts and roles: none of it goes into a message here.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from handlers.errors import InvalidInput, InvalidSetting, PayloadNotFound, StoreUnavailable
from handlers.payloads.identity import PayloadId
from handlers.registry.stores.s3_errors import FAILURES, is_missing_object, status
from handlers.registry.stores.s3_signing import AddressingStyle, open_signer
from handlers.registry.stores.s3_url import split_s3_url

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["CONNECTIONS", "PayloadBucket"]

CONNECTIONS = 8  # one connection to S3 brings about 75 MB/s, a function about 300


@dataclass(frozen=True)
class PayloadBucket:
    """Payloads as objects of `bucket`, each under `prefix` and its id. Safe to use from several threads."""

    bucket: str
    prefix: str
    client: "S3Client" = field(repr=False)

    @classmethod
    def open(cls, url: str) -> "PayloadBucket":
        """Return the bucket that `s3://bucket[/prefix]` names; asks nothing of S3 yet.

        Raises:
            InvalidSetting: The URL is not of this form, or the AWS settings make no sense.
        """
        bucket, prefix = split_s3_url(url)
        try:
            return cls(bucket, prefix, open_signer(_config))
        except (BotoCoreError, ValueError) as error:
            msg = f"AWS settings: {type(error).__name__}, expected what boto3 needs to open the payload bucket"
            raise InvalidSetting(msg) from error

    def sign_upload(self, payload: PayloadId, valid_s: int) -> tuple[str, dict[str, str]]:
        """Return an address for one PUT of just this payload, and the headers that must go along.

        Both are in the signature: another size or another hash is refused by S3, other bytes do not have the hash.
        """
        checksum = base64.b64encode(bytes.fromhex(payload.sha256)).decode()
        fixed = {"ContentLength": payload.size, "ChecksumSHA256": checksum}
        headers = {"content-length": str(payload.size), "x-amz-checksum-sha256": checksum}
        return self._sign("put_object", payload, valid_s, fixed), headers

    def sign_download(self, payload: PayloadId, valid_s: int) -> str:
        """Return an address for a GET of this payload."""
        return self._sign("get_object", payload, valid_s, {})

    def read_part(self, payload: PayloadId, offset: int, target: memoryview) -> None:
        """Fill `target` with the payload's bytes from `offset`.

        Raises:
            PayloadNotFound: Nothing is stored under this id.
            InvalidInput: What is stored has another size than the id says.
            StoreUnavailable: The bucket could not be asked.
        """
        last = offset + len(target) - 1
        with _asking("GetObject"):
            try:
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=self.prefix + str(payload), Range=f"bytes={offset}-{last}"
                )
            except ClientError as error:
                if is_missing_object(error):
                    msg = f"payload {str(payload)[:32]}: nothing stored under this id, expected an upload within a day"
                    raise PayloadNotFound(msg) from error
                if status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # it begins behind the end
                    found = f"at most {offset}" if offset else "0"
                    raise _wrong_size(payload, found) from error
                raise
            stored = answer["ContentRange"].rpartition("/")[2]
            if stored != str(payload.size):
                answer["Body"].close()
                raise _wrong_size(payload, stored)
            read = 0
            while count := answer["Body"].readinto(target[read:]):  # type: ignore[arg-type]  # it takes any buffer
                read += count

    def write(self, payload: PayloadId, data: bytes) -> None:
        """Store a payload.

        Raises:
            StoreUnavailable: The bucket did not take it.
        """
        with _asking("PutObject"):
            self.client.put_object(
                Bucket=self.bucket,
                Key=self.prefix + str(payload),
                Body=data,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(payload.sha256)).decode(),
            )

    def _sign(self, method: str, payload: PayloadId, valid_s: int, fixed: dict[str, object]) -> str:
        where = {"Bucket": self.bucket, "Key": self.prefix + str(payload)}
        with _asking("the signing of an address"):
            return self.client.generate_presigned_url(method, Params=where | fixed, ExpiresIn=valid_s)


def _config(addressing_style: AddressingStyle) -> Config:
    return Config(
        signature_version="s3v4",
        connect_timeout=2,
        read_timeout=5,  # of silence, not for the whole body
        retries={"mode": "standard", "total_max_attempts": 2},  # somebody waits, for 29 s at most
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": addressing_style},
        # we give SHA-256 with what we write and check it in what we read: no second checksum beside it
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def _wrong_size(payload: PayloadId, found: str) -> InvalidInput:
    subject = f"payload {str(payload)[:32]}"
    return InvalidInput(f"{subject}: {found} bytes stored, expected {payload.size} as its id says; upload it again")


@contextmanager
def _asking(operation: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        found = type(error).__name__
        if isinstance(error, ClientError):
            found = f"{error.response['Error'].get('Code', '')} (HTTP {status(error)})"
        msg = f"payload bucket: {found}, expected an answer to {operation}; try again"
        raise StoreUnavailable(msg) from error
