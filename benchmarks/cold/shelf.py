"""A published model behind the link: what contenders fetch from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from benchmarks.cold.cases import Case
from benchmarks.cold.link import Link, running_link
from export.progress import Progress
from export.publish import publish
from handlers.registry.stores import open_store
from tests.servers.s3 import S3Server, running_s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["Shelf", "running_shelf"]

_PREFIX = "lambdaserve"
_SIGNED_S = 24 * 3600


@dataclass(frozen=True)
class Shelf:
    """A store behind a link.

    Attributes:
        server: The store itself.
        link: What stands before it.
        bucket: The bucket of the models.
        versions: Version by model.
    """

    server: S3Server
    link: Link
    bucket: str
    versions: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What finds the store through the link: boto3's variables."""
        return self.server.environment | {"AWS_ENDPOINT_URL_S3": self.link.endpoint}

    @property
    def url(self) -> str:
        """The store's, for LAMBDASERVE_STORE."""
        return f"s3://{self.bucket}/{_PREFIX}"

    @property
    def empty_url(self) -> str:
        """A store without models."""
        return f"s3://{self.bucket}/empty"

    def key(self, case: Case, file: str) -> str:
        """Return the key of a model's file."""
        return f"{_PREFIX}/models/{case.name}/versions/{self.versions[case.name]}/{file}"

    def signed_url(self, key: str) -> str:
        """Return an address that answers a GET through the link for a day."""
        return self._linked_client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=_SIGNED_S
        )

    def put(self, key: str, file: Path) -> None:
        """Store a file beside the models."""
        self.server.client().upload_file(str(file), self.bucket, key)

    @cached_property
    def _linked_client(self) -> "S3Client":
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.link.endpoint,
            region_name=self.environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


@contextmanager
def running_shelf(folder: Path, cases: Sequence[Case]) -> Iterator[Shelf]:
    """Start store and link, and publish the models under the alias `live`; all is gone at the end."""
    with ExitStack() as stack:
        server = stack.enter_context(running_s3(folder))
        link = stack.enter_context(running_link(server.endpoint))
        stack.enter_context(_environment(server.environment))  # of the store, which reads AWS's own variables
        shelf = Shelf(server, link, server.make_bucket(), {})
        store = open_store(shelf.url)
        for case in cases:
            published = publish(case.artifact, store, "live", Progress())
            shelf.versions[case.name] = published.version
        yield shelf


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ |= variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before
