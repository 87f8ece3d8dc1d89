"""`lambdaserve serve` in a process of its own."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.export.command import command, environment

__all__ = ["serving"]


@contextmanager
def serving(store_url: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a store in a process without torch, and yield its URL as soon as it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command("serve", "--store", store_url, "--port", port),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.poll() is None:
            try:
                if httpx.get(f"{url}/v2/health/ready", timeout=30).status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url, process
    finally:
        process.kill()
        process.communicate()
