"""A payload bucket in the real S3 API, and who hears of what happens there."""

import pytest

from tests.handlers.payloads.buckets import Recorder, Room
from tests.servers.s3 import S3Server


@pytest.fixture
def room(s3_environment: S3Server, s3_bucket: str) -> Room:
    return Room(s3_environment, s3_bucket)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
