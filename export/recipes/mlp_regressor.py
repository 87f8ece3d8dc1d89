"""A dense network for a number: how far diabetes has progressed a year after ten measurements of a patient.

Data: 442 patients (B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", 2004). The best that
is known for them leaves about half of the variance: a mean squared error near 3,000.
"""

import numpy as np
import torch
from torch import nn

from export.recipes.recipe import Dataset, Recipe
from export.recipes.tables import Standardize, load_table, table_task

__all__ = ["RECIPE"]


class Regressor(nn.Module):
    """Hidden layers of 10, 20 and 10; takes and gives the units of the table."""

    def __init__(self, samples: np.ndarray, targets: np.ndarray) -> None:
        """Take the scale of samples float32 [n, columns] and of targets float32 [n, 1]."""
        super().__init__()
        columns = samples.shape[1]
        self.layers = nn.Sequential(
            Standardize(samples),
            *(nn.Linear(columns, 10), nn.ReLU(), nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU()),
            nn.Linear(10, 1),
        )
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        self.register_buffer("mean", torch.tensor(targets.mean()))
        self.register_buffer("deviation", torch.tensor(targets.std()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the progress, float32 [batch, 1], of measurements float32 [batch, columns]."""
        progress: torch.Tensor = self.layers(x) * self.deviation + self.mean
        return progress


def network(dataset: Dataset) -> nn.Module:
    """Return a network for the columns of the data, with weights from torch's global random state."""
    return Regressor(dataset.train.inputs["x"], dataset.train.targets)


RECIPE = Recipe(
    name="mlp-regressor",
    load=lambda data: load_table(data, "diabetes.csv"),
    network=network,
    loss=nn.functional.mse_loss,
    metric="mse",
    output="progress",
    task=lambda dataset: table_task(dataset, "progress"),
    epochs=20,
    batch=32,
    peak_learning_rate=1e-2,
)
