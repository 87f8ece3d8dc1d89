"""Room for payloads in a real S3 API, seen from all three sides: the service's, a client's, and behind their backs."""

import hashlib
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from handlers.errors import LambdaserveError
from handlers.payloads.payloads import PayloadObserver, Payloads, Upload
from tests.servers.s3 import S3Server

__all__ = ["Recorder", "Room", "sha256", "upload"]


@dataclass
class Recorder:
    """Implements `PayloadObserver`."""

    issued: int = 0
    received: int = 0
    sent: int = 0
    failures: list[LambdaserveError] = field(default_factory=list)

    def payloads_moved(self, *, issued: int = 0, received: int = 0, sent: int = 0) -> None:
        self.issued += issued
        self.received += received
        self.sent += sent

    def payload_failed(self, error: LambdaserveError) -> None:
        self.failures.append(error)


@dataclass(frozen=True)
class Room:
    """A fresh prefix in a bucket."""

    server: S3Server
    bucket: str
    prefix: str = field(default_factory=lambda: f"{uuid4().hex}/payloads")

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def open(
        self, *, max_bytes: int = 64 << 20, observer: PayloadObserver | None = None, address_valid_s: int = 300
    ) -> Payloads:
        """Return the service's side."""
        return Payloads(self.url, max_bytes, observer, address_valid_s=address_valid_s)

    def put(self, payload: str, data: bytes) -> None:
        """Store something under an id, whatever it says."""
        self.server.client().put_object(Bucket=self.bucket, Key=f"{self.prefix}/{payload}", Body=data)

    def delete(self, payload: str) -> None:
        """Do what the bucket's lifecycle does in the end."""
        self.server.client().delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{payload}")

    def keys(self) -> list[str]:
        """Return the ids of all that is stored."""
        found = self.server.client().list_objects_v2(Bucket=self.bucket, Prefix=self.prefix)
        return [entry["Key"].removeprefix(f"{self.prefix}/") for entry in found.get("Contents", [])]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def upload(given: Upload, data: bytes) -> httpx.Response:
    """Do what a client does with the address that it got: plain HTTP, nothing of AWS."""
    return httpx.put(given.url, content=data, headers=given.headers, trust_env=False)
