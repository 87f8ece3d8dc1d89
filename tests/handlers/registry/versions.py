"""Versions of a model `m` that answer differently, and what tests do with their aliases."""

import threading
import time
from collections.abc import Callable

import numpy as np

from handlers.registry.loading import LoadedModel
from handlers.registry.models import Models
from handlers.registry.stores import open_store
from handlers.versions.aliasing import canary, remove_alias, retire
from handlers.versions.changes import Operation
from tests.aliases import point_alias
from tests.artifacts import publish_graphs
from tests.graphs import affine

__all__ = [
    "EXAMPLE",
    "MB",
    "WAIT_S",
    "answer",
    "ask",
    "move",
    "publish_version",
    "remove",
    "retire_version",
    "settle",
    "split",
]

WAIT_S = 60.0
MB = 2**20
EXAMPLE = {"x": np.array([[1, 2, 3]], np.float32)}


def publish_version(url: str, *, alias: str | None = None, size_mb: int = 10, slow: bool = False) -> str:
    """Publish the next version: version n multiplies by n. One that is slow waits for a `Gatekeeper`."""
    number = len([*open_store(url).list_folders("models/m/versions/")]) + 1
    graph = affine(float(number), 0.0)
    variants = {"int8-static": affine(-1.0), "fp32": graph} if slow else {"fp32": graph}
    memory = dict.fromkeys(variants, (size_mb * MB, None))
    version = publish_graphs(url, "m", variants, [EXAMPLE], alias=alias, memory=memory)
    assert version == str(number)
    return version


def move(url: str, version: str, alias: str = "live") -> None:
    """Let an alias name a version."""
    point_alias(open_store(url), "m", alias, version)


def split(url: str, version: str, weight: int) -> None:
    """Let a version have some percent of the requests."""
    canary(open_store(url), "m", "live", version, weight, Operation("tester@host", "test"))


def retire_version(url: str, version: str) -> None:
    """Take a version out of what may be named."""
    retire(open_store(url), "m", version, Operation("tester@host", "test"))


def remove(url: str, alias: str) -> None:
    """Remove an alias."""
    remove_alias(open_store(url), "m", alias, Operation("tester@host", "test"))


def answer(model: LoadedModel) -> list[float]:
    """Return what the version makes of the example."""
    found: list[float] = model.session.run(EXAMPLE)["y"][0].tolist()
    return found


def ask(models: Models, which: str | None = None, *, share: float = 100.0) -> str:
    """Return the version that answers a request, after checking that its answer is its own."""
    model = models.await_and_hold("m", which, WAIT_S, share)
    version = model.version
    try:
        assert answer(model) == [float(version) * value for value in (1, 2, 3)]
    finally:
        del model
        models.release("m", version)
    return version


def settle(done: Callable[[], object]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline, [thread.name for thread in threading.enumerate()]
        time.sleep(0.005)
