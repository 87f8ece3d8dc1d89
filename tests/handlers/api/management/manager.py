"""The management application as its clients meet it: behind a REST API with IAM authorisation, and Mangum."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from handlers.api.management.app import create_app
from handlers.api.management.service import Management
from handlers.api.management.telemetry import ManagementTelemetry
from handlers.registry.stores import Store, open_store
from handlers.settings import Settings
from tests.handlers.api.gateway import Answer, Gateway, rest_event

__all__ = ["ALICE", "BOB", "Manager", "key", "signed_by"]

ALICE = "arn:aws:sts::123456789012:assumed-role/operators/alice"
BOB = "arn:aws:iam::123456789012:user/bob"

Json = Any


class Manager:
    """Hands requests to the application, each as somebody's."""

    def __init__(self, settings: Settings) -> None:
        self.management = Management(settings, ManagementTelemetry("ERROR", log_stream=io.StringIO()))
        self.gateway = Gateway(create_app(self.management))

    @classmethod
    def of(cls, store_url: str, scratch: Path, max_body_bytes: int = 1_000_000) -> "Manager":
        """Return the application that manages this store."""
        return cls(Settings(store_url=store_url, scratch_dir=scratch, max_body_bytes=max_body_bytes))

    @property
    def store(self) -> Store:
        """The store behind the application's back."""
        return open_store(self.management.settings.store_url)

    def get(self, path: str, caller: str = ALICE) -> Answer:
        """Ask for something."""
        return self._send("GET", path, b"", {}, caller)

    def post(
        self, path: str, body: "bytes | Json" = b"", *, caller: str = ALICE, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Change something."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send("POST", path, content, headers or {}, caller)

    def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str], caller: str) -> Answer:
        answer = self.gateway.invoke(signed_by(caller, rest_event(method, path, body, headers=headers)))
        return Answer(answer["statusCode"], answer["headers"], json.loads(answer["body"]))


def signed_by(caller: str, event: Json) -> Json:
    """Return the event as API Gateway sends it for somebody whom IAM lets in."""
    context = event["requestContext"]
    return event | {"requestContext": context | {"identity": context["identity"] | {"userArn": caller}}}


def key(operation: str | None = None) -> dict[str, str]:
    """Return the header with an operation's id, which is a fresh one by default."""
    return {"Idempotency-Key": operation or uuid4().hex}
