"""A store behind a proxy that fails as it is told to, and the same store without one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

import pytest

from handlers.registry.stores import Store, open_store
from handlers.registry.stores.s3 import S3Store
from handlers.registry.stores.s3_boto3 import Boto3Store
from handlers.registry.stores.s3_connection import Timeouts
from handlers.registry.stores.s3_reads import S3Reads
from handlers.registry.stores.s3_url import split_s3_url
from handlers.settings import find_s3_access
from tests.servers.faults import FaultyProxy, running_proxy
from tests.servers.s3 import S3Server

Client = Literal["light client", "boto3"]

HASTE = Timeouts(connect_s=1, read_s=0.5)
"""Longer than a delay of the proxy, and so short that a test can wait for a silence."""


@dataclass
class Behind:
    """A store behind a proxy, once for each way to read, and the same store without one."""

    url: str
    proxy: FaultyProxy
    direct: Store
    open: Callable[[Client], Store]

    @property
    def store(self) -> Store:
        """For who writes: boto3 does all of that."""
        return self.open("boto3")


@pytest.fixture
def behind(s3_environment: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    url = f"s3://{s3_bucket}/{uuid4().hex}"
    direct = S3Store.from_url(url)
    direct.open_boto3()  # which looks at the environment now
    with running_proxy(s3_environment.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        yield Behind(url, proxy, direct, lambda client: _hasty_store(url, client))


def _hasty_store(url: str, client: Client) -> Store:
    bucket, prefix = split_s3_url(url)
    access = find_s3_access(bucket)
    assert access is not None
    assert isinstance(open_store(url), S3Store)
    reads = S3Reads(access, bucket, timeouts=HASTE, pause_s=0.001) if client == "light client" else None
    return S3Store(url, bucket, prefix, reads, Boto3Store.open(url, bucket, prefix, HASTE))
