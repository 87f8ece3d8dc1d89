"""What tests of several packages share."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.s3 import S3Server, running_s3

pytest_plugins = ["tests.artifact", "tests.demo", "tests.stack"]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 API, started once for all tests that ask for it."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_bucket(s3_server: S3Server) -> str:
    """A bucket that tests share, each below a prefix of its own: the server takes half a second to make one."""
    return s3_server.make_bucket()


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with the environment of this test leading to it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(params=["file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty store: once in a folder that does not exist yet, once in S3."""
    if request.param == "file":
        return (tmp_path / "store").as_uri()
    request.getfixturevalue("s3_environment")
    return f"s3://{request.getfixturevalue('s3_bucket')}/{uuid4().hex}/prefix"
