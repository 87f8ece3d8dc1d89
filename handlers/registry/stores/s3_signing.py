"""Addresses for one upload each, which whoever holds them can use without credentials of their own."""

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from botocore.config import Config

from handlers.registry.stores.aws_session import open_session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["AddressingStyle", "open_signer", "sign_put"]

AddressingStyle = Literal["auto", "virtual"]


def _signing_only(addressing_style: AddressingStyle) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": addressing_style},
        request_checksum_calculation="when_required",  # SHA-256 is signed: no second checksum beside it
    )


def open_signer(config: Callable[[AddressingStyle], Config] = _signing_only) -> "S3Client":
    """Return a client whose addresses are good from anywhere; it asks nothing of S3. Raises what boto3 raises."""
    session = open_session()
    client = session.client("s3", config=config("auto"))
    if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(".amazonaws.com"):
        # with "auto", botocore signs for bucket.s3.amazonaws.com, which redirects to the bucket's region for the first
        # day of its life, and no signature survives a redirect; with "virtual" it signs for the region's own host
        client = session.client("s3", config=config("virtual"))
    return client


def sign_put(  # noqa: PLR0913, PLR0917 - what an upload is made of
    signer: "S3Client", bucket: str, key: str, size: int, sha256: str, valid_s: int
) -> tuple[str, dict[str, str]]:
    """Return an address for one PUT of an object that is not there yet, and the headers that must go along.

    All are in the signature: S3 refuses another size, another hash, bytes that do not have the hash, and to overwrite.
    """
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
    url = signer.generate_presigned_url(
        "put_object",
        Params={
            "Bucket": bucket,
            "Key": key,
            "ContentLength": size,
            "ChecksumSHA256": checksum,
            "IfNoneMatch": "*",
        },
        ExpiresIn=valid_s,
    )
    return url, {"content-length": str(size), "x-amz-checksum-sha256": checksum, "if-none-match": "*"}
