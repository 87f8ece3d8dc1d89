"""The store in S3 as boto3 sees it: all that writes, and reading wherever only boto3 knows how."""

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from handlers.errors import InvalidSetting, ObjectChanged, ObjectExists, StoreError, StoreUnavailable
from handlers.registry.stores import PIECE_BYTES, Described, ObjectInfo, Progress, Sink, StoredObject
from handlers.registry.stores.aws_session import open_session
from handlers.registry.stores.keys import check_key, check_prefix, is_key, is_segment
from handlers.registry.stores.s3_connection import Timeouts
from handlers.registry.stores.s3_errors import FAILURES, explain, is_missing_object, status
from handlers.registry.stores.s3_signing import open_signer, sign_put
from handlers.registry.stores.s3_upload import WRITE_ID, Uploads

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        GetObjectOutputTypeDef,
        ListObjectsV2OutputTypeDef,
        ListObjectsV2RequestPaginateTypeDef,
        PutObjectRequestTypeDef,
    )

__all__ = ["Boto3Store"]

_CONFIG = Config(
    signature_version="s3v4",
    # Three times 10 s and two pauses at worst: a dead S3 shows as an error, not as a hanging publish.
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=32,  # 16 ranges in parallel, of two models, and what else goes on
    # Path-style with an endpoint from the settings or a dot in the bucket's name (no certificate is good for
    # `a.b.s3.amazonaws.com`), else the bucket in the host name, as AWS prefers.
    s3={"addressing_style": "auto"},
)
_TIMEOUTS = Timeouts()
_CONFLICT_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8)


class _BrokenAnswer(BotoCoreError):
    """An answer whose head broke off: boto3 takes what came of it for all of it."""

    fmt = "{found}"


@dataclass
class Boto3Store:
    """Objects of `bucket` whose keys start with `prefix` (empty, or ending in `/`)."""

    url: str
    bucket: str
    prefix: str
    client: "S3Client" = field(repr=False)
    uploads: Uploads = field(repr=False)

    @classmethod
    def open(cls, url: str, bucket: str, prefix: str, timeouts: Timeouts = _TIMEOUTS) -> "Boto3Store":
        """Return the store; asks nothing of S3 yet.

        Raises:
            InvalidSetting: The AWS settings make no sense.
        """
        limits = Config(connect_timeout=timeouts.connect_s, read_timeout=timeouts.read_s)
        try:
            client = open_session().client("s3", config=_CONFIG.merge(limits))
        except (BotoCoreError, ValueError) as error:
            msg = f"AWS settings: {error}, expected what boto3 needs to open {url}"
            raise InvalidSetting(msg) from error
        return cls(url, bucket, prefix, client, Uploads(client))

    def read(self, key: str) -> StoredObject:
        """See `Store.read`."""
        with self._asking(check_key(key)):
            return _receive(self.client.get_object(Bucket=self.bucket, Key=self.prefix + key))

    def read_if_changed(self, key: str, etag: str) -> StoredObject | None:
        """See `Store.read_if_changed`."""
        with self._asking(check_key(key)):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, IfNoneMatch=etag)
            except ClientError as error:
                if status(error) == HTTPStatus.NOT_MODIFIED:
                    return None
                raise
            return _receive(answer)

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """See `Store.read_range`."""
        with self._asking(check_key(key)):
            body = self._get_range(key, offset, length)
            return b"" if body is None else body.read()[:length]

    def copy_range(self, key: str, offset: int, length: int, sink: Sink) -> int:
        """See `Store.copy_range`."""
        buffer = memoryview(bytearray(min(length, PIECE_BYTES)))
        with self._asking(check_key(key)):
            body = self._get_range(key, offset, length)
            sink.restart()
            left = length
            # the bound as read_range has it: of 0 bytes, one is asked for
            while body is not None and left:
                count = body.readinto(buffer[:left])  # type: ignore[arg-type]  # it takes any buffer
                if not count:
                    break
                sink.take(buffer[:count])
                left -= count
            return length - left

    def _get_range(self, key: str, offset: int, length: int) -> "StreamingBody | None":
        last = offset + max(length, 1) - 1  # there is no way to ask for 0 bytes
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, Range=f"bytes={offset}-{last}")
        except ClientError as error:
            if status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return None
            raise
        return answer["Body"]

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`."""
        full = self.prefix + check_prefix(prefix)
        with self._asking(prefix):
            pages = self._pages({"Bucket": self.bucket, "Prefix": full, "Delimiter": "/"})
            found = [folder["Prefix"][len(full) : -1] for page in pages for folder in page.get("CommonPrefixes", ())]
        return iter(sorted(filter(is_segment, found)))  # S3 sorts `a-b/` before `a/`

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Store.list_objects`."""
        full = self.prefix + check_prefix(prefix)
        with self._asking(prefix):
            found = [
                ObjectInfo(entry["Key"].removeprefix(self.prefix), entry["Size"], entry["LastModified"].timestamp())
                for page in self._pages({"Bucket": self.bucket, "Prefix": full})
                for entry in page.get("Contents", ())
            ]
        return iter(sorted((info for info in found if is_key(info.key)), key=lambda info: info.key))

    def describe(self, key: str) -> Described:
        """See `Store.describe`. S3 keeps the SHA-256 of what was sent with it, and has checked it then."""
        with self._asking(check_key(key)):
            found = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key, ChecksumMode="ENABLED")
            if "ETag" not in found:
                raise _BrokenAnswer(found="an answer that breaks off")
        kept = found.get("ChecksumSHA256", "")
        of_parts = "-" in kept  # the hash of hashes, of an object that was sent in several requests
        return Described(found["ContentLength"], base64.b64decode(kept).hex() if kept and not of_parts else None)

    def _pages(self, request: "ListObjectsV2RequestPaginateTypeDef") -> "Iterator[ListObjectsV2OutputTypeDef]":
        for page in self.client.get_paginator("list_objects_v2").paginate(**request):
            if "IsTruncated" not in page:  # each has it: that nothing is left is only believed of a whole answer
                raise _BrokenAnswer(found="a list that breaks off")
            yield page

    def create(self, key: str, content: bytes | Path, progress: Progress | None = None) -> str:
        """See `Store.create`. S3 takes at most 5 GiB in one request."""
        request = self._put_request(check_key(key))
        request["IfNoneMatch"] = "*"
        refusal = ObjectExists(f"{self.url}/{key}: exists already, expected nothing there; it is untouched")
        if isinstance(content, Path):
            with self.uploads.open(request["Metadata"][WRITE_ID], content, progress) as file:
                return self._put(key, request, file, refusal)
        etag = self._put(key, request, io.BytesIO(content), refusal)
        if progress is not None:
            progress(len(content))
        return etag

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """See `Store.replace`."""
        request = self._put_request(check_key(key))
        request["IfMatch"] = etag
        refusal = ObjectChanged(f"{self.url}/{key}: other content or none, expected {etag}; read it again")
        return self._put(key, request, io.BytesIO(data), refusal)

    def sign_upload(self, key: str, size: int, sha256: str, valid_s: int) -> tuple[str, dict[str, str]]:
        """See `Store.sign_upload`."""
        with self._asking(check_key(key)):
            return sign_put(self._signer, self.bucket, self.prefix + key, size, sha256, valid_s)

    @cached_property
    def _signer(self) -> "S3Client":
        return open_signer()

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._asking(check_key(key)):
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def _put_request(self, key: str) -> "PutObjectRequestTypeDef":
        return {"Bucket": self.bucket, "Key": self.prefix + key, "Metadata": {WRITE_ID: uuid4().hex}}

    def _put(self, key: str, request: "PutObjectRequestTypeDef", body: IO[bytes], refusal: StoreError) -> str:
        """Write if the condition in `request` holds and return the etag, else raise `refusal`."""
        with self._asking(key):
            try:
                etag = self._put_decided(request, body) or self._etag_of_write(request)
                if etag is None:
                    raise _BrokenAnswer(found="an answer that breaks off, and then another write")
                return etag  # noqa: TRY300 - what follows is for refusals
            except ClientError as error:
                missing = "IfMatch" in request and is_missing_object(error)
                if status(error) != HTTPStatus.PRECONDITION_FAILED and not missing:
                    raise
                # The answer to a first try can get lost. The SDK then tries again and meets what it wrote itself.
                written = self._etag_of_write(request)
                if written is not None:
                    return written
                if "IfMatch" in request and error.response["ResponseMetadata"]["RetryAttempts"]:
                    msg = f"{self.url}/{key}: no answer and then another write, expected one answer; read it again"
                    raise StoreUnavailable(msg) from error
                raise refusal from error

    def _put_decided(self, request: "PutObjectRequestTypeDef", body: IO[bytes]) -> str | None:
        """Write as soon as no other write to the key is under way (until then S3 answers 409), if that is soon.

        Returns the etag, None if the answer broke off before it.
        """
        request["Body"] = body
        waits_s = iter(_CONFLICT_WAITS_S)
        while True:
            body.seek(0)
            try:
                return self.client.put_object(**request).get("ETag")
            except ClientError as error:
                wait_s = next(waits_s, None)
                if status(error) != HTTPStatus.CONFLICT or wait_s is None:
                    raise
            time.sleep(wait_s)

    def _etag_of_write(self, request: "PutObjectRequestTypeDef") -> str | None:
        """Return the etag of what is stored if it was this very request that wrote it."""
        try:
            stored = self.client.head_object(Bucket=request["Bucket"], Key=request["Key"])
        except ClientError as error:
            if is_missing_object(error):
                return None
            raise
        if "ETag" not in stored:
            raise _BrokenAnswer(found="an answer that breaks off")
        return stored["ETag"] if stored["Metadata"].get(WRITE_ID) == request["Metadata"][WRITE_ID] else None

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            raise explain(error, f"{self.url}/{key}", self.bucket) from error


def _receive(answer: "GetObjectOutputTypeDef") -> StoredObject:
    if not answer.get("ETag"):  # to replace what has none would be to replace whatever is there
        raise _BrokenAnswer(found="an object without ETag")
    return StoredObject(answer["Body"].read(), answer["ETag"])
