"""Small models, the data that goes with them, and what the export step is called with."""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn

from export import ModelSource
from export.build import VARIANTS, BuildOptions
from export.convert import convert
from export.progress import Progress
from export.reference import Reference
from handlers.registry.manifest import MANIFEST_FILE, Manifest, decode_manifest, encode_manifest
from handlers.runtime.session import Session

OPTIONS = BuildOptions(VARIANTS, max_loss=0.01, threads=1, search_s=20)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return numbers from the standard normal distribution, float32, the same ones for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def mlp(*widths: int) -> nn.Sequential:
    """Return dense layers with ReLU in between, the same weights for the same widths."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(before, after) for before, after in pairwise(widths)]
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])


def source_of(module: nn.Module, example: torch.Tensor | None = None, /, **other: object) -> ModelSource:
    """Return a source with the input `x`, float32 [1, 4] unless told otherwise, and the output `y`."""
    inputs = {"x": torch.zeros(1, 4) if example is None else example}
    given: dict[str, object] = {"name": "tiny", "module": module, "inputs": inputs, "outputs": ["y"]}
    return ModelSource(**(given | other))  # type: ignore[arg-type] # `other` overrides what the tests choose


def silent() -> Progress:
    """Return a progress that nobody sees."""
    return Progress(Console(file=io.StringIO()))


def converted(source: ModelSource, path: Path) -> Session:
    """Return the source's module as an ONNX session."""
    return convert(source, Reference(source), path, [], threads=1)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an artifact, its files unchecked."""
    path = folder / MANIFEST_FILE
    return decode_manifest(path.read_bytes(), str(path))


def change_manifest(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Rewrite the manifest of an artifact, seal included."""
    (folder / MANIFEST_FILE).write_bytes(encode_manifest(change(read_manifest(folder))))


def contents(folder: Path) -> dict[str, bytes]:
    """Return all that is below a folder: path -> bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
