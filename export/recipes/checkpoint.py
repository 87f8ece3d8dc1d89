"""The file that lets a training go on where it was stopped."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from export.errors import DataError, OutputError
from export.recipes.files import write_whole
from export.recipes.recipe import Dataset

__all__ = ["CHECKPOINT_FILE", "describe", "read_checkpoint", "write_checkpoint"]

CHECKPOINT_FILE = "checkpoint.pt"
_FORMAT = 1
_ANEW = "delete it to train anew"

State = dict[str, Any]
"""Tensors, numbers, words, and lists and dicts of them: what torch loads without running code."""


def describe(name: str, dataset: Dataset, seed: int, epochs: int) -> dict[str, str | int]:
    """Return what decides on the weights that a training ends in; one that was stopped goes on only if all is equal."""
    digest = hashlib.sha256()
    for split in (dataset.train, dataset.test):
        for array in (*split.inputs.values(), split.targets):
            digest.update(f"{array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    return {"format": _FORMAT, "recipe": name, "seed": seed, "epochs": epochs, "data": digest.hexdigest()[:16]}


def write_checkpoint(folder: Path, description: dict[str, str | int], state: State) -> None:
    """Replace the checkpoint in one step: there is always a whole one, the earlier or this.

    Raises:
        OutputError: It cannot be written.
    """
    content = io.BytesIO()
    torch.save({"description": description, "state": state}, content)
    write_whole(folder / CHECKPOINT_FILE, content.getvalue())


def read_checkpoint(folder: Path, description: dict[str, str | int]) -> State | None:
    """Return the state that was saved, None if none was; no code in the file is run.

    Raises:
        DataError: The file is no checkpoint.
        OutputError: It belongs to a training that would end in other weights.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        found, state = saved["description"], saved["state"]
        differing = [key for key in description if found.get(key) != description[key]]
    except Exception as error:  # torch lets through whatever its parsers meet in bytes that are something else
        # Without torch's own text: it explains how to load the file unsafely.
        msg = f"{path}: something else ({type(error).__name__}), expected a checkpoint; {_ANEW}"
        raise DataError(msg) from error
    if differing:
        was = ", ".join(f"{key} {found.get(key)}" for key in differing)
        wanted = ", ".join(f"{key} {description[key]}" for key in differing)
        msg = f"{path}: of a training with {was}, expected {wanted}; train with those to go on, or {_ANEW}"
        raise OutputError(msg)
    return dict(state)
