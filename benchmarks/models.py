"""Models for benchmarks, built and published like any other."""

from pathlib import Path

import torch

from export import ModelSource
from export.build import BuildOptions, build
from export.progress import Progress
from export.publish import publish
from handlers.registry.stores import open_store

__all__ = ["publish_linear"]


def publish_linear(folder: Path) -> str:
    """Publish a linear layer of 10 to 10 as `linear` into a store below `folder`; return the store's URL."""
    torch.manual_seed(0)
    source = ModelSource("linear", torch.nn.Linear(10, 10), {"x": torch.zeros(1, 10)}, ["y"])
    build(source, folder / "artifact", BuildOptions(variants=(), max_loss=0.01, threads=1), Progress())
    url = (folder / "store").as_uri()
    publish(folder / "artifact", open_store(url), "live", Progress())
    return url
