"""Starts `lambdaserve serve` and asks it for every held-out digit over HTTP."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np

from demo.steps import MODEL
from export.recipes.mnist_data import scale_images

_BATCH = 50
_START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answers:
    """What came back: the predicted digits, the right ones, and how long the first answer took from process start."""

    predicted: np.ndarray
    labels: np.ndarray
    first_answer_s: float

    @property
    def count(self) -> int:
        """How many digits were sent."""
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float((self.predicted == self.labels).mean())


def ask_served_model(store_url: str, images: np.ndarray, labels: np.ndarray) -> Answers:
    """Send images uint8 [n, 28, 28] to a freshly started server, and return its answers for labels uint8 [n]."""
    started = time.perf_counter()
    with _server(store_url) as url, httpx.Client(base_url=url, timeout=30) as client:
        first = _ask_until_ready(client, images[:1], started + _START_TIMEOUT_S)
        first_answer_s = time.perf_counter() - started
        rest = [_ask(client, images[i : i + _BATCH]) for i in range(1, len(images), _BATCH)]
    return Answers(np.concatenate([first, *rest]), labels, first_answer_s)


@contextmanager
def _server(store_url: str) -> Iterator[str]:
    port = _free_port()
    command = [sys.executable, "-m", "export", "serve", "--store", store_url, "--port", str(port)]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        except httpx.HTTPError as error:
            log.seek(0)
            said = log.read().decode(errors="replace")[-2000:]
            sys.exit(f"demo: {error}, expected answers from lambdaserve serve, which said:\n{said}")
        finally:
            process.terminate()


def _ask_until_ready(client: httpx.Client, images: np.ndarray, deadline: float) -> np.ndarray:
    while True:
        try:
            return _ask(client, images)
        except httpx.ConnectError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.01)


def _ask(client: httpx.Client, images: np.ndarray) -> np.ndarray:
    """Return the digits that the served model sees: int64 [n]."""
    pixels = scale_images(images)
    tensor = {"name": "image", "datatype": "FP32", "shape": pixels.shape, "data": pixels.ravel().tolist()}
    answer = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor]}).raise_for_status().json()
    logits = answer["outputs"][0]
    digits: np.ndarray = np.array(logits["data"]).reshape(logits["shape"]).argmax(axis=1)
    return digits


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
