"""Where a function under SnapStart gets its credentials: AWS's container credentials endpoint, over a socket.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["CredentialsEndpoint", "running_credentials"]


class CredentialsEndpoint:
    """Hands out one access key at a time, good for hours: nobody has to ask again because the old one has expired."""

    def __init__(self, key: Mapping[str, str]) -> None:
        self.key = key
        self.asked = 0
        self.environment: dict[str, str] = {}


@contextmanager
def running_credentials(key: Mapping[str, str]) -> Iterator[CredentialsEndpoint]:
    """Hand out `key` (`accessKey`, `secretKey`) to whoever brings the token in `environment`."""
    endpoint = CredentialsEndpoint(key)
    token = secrets.token_hex(8)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            endpoint.asked += 1
            allowed = self.headers["Authorization"] == token
            expires = datetime.now(UTC) + timedelta(hours=6)
            body = {
                "AccessKeyId": endpoint.key["accessKey"],
                "SecretAccessKey": endpoint.key["secretKey"],
                "Token": None,
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            self.send_response(200 if allowed else 403)
            self.end_headers()
            self.wfile.write(json.dumps(body if allowed else {}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint.environment = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_port}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
    }
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
