"""A dense network for yes or no, with L2 regularisation: is a tumour benign?

Data: 569 tumours, 30 measurements of the nuclei of their cells (W. H. Wolberg, W. N. Street, O. L. Mangasarian, "Breast
Cancer Wisconsin (Diagnostic)", UCI, 1995).
"""

from functools import partial

import torch
from torch import nn

from export.recipes.recipe import Dataset, Recipe
from export.recipes.tables import Standardize, load_table, table_task

__all__ = ["RECIPE"]

L2 = 1e-3


def network(dataset: Dataset) -> nn.Module:
    """Return a network for the columns of the data, with weights from torch's global random state.

    It takes float32 [batch, columns] in the units of the table and returns a logit float32 [batch, 1].
    """
    samples = dataset.train.inputs["x"]
    return nn.Sequential(Standardize(samples), nn.Linear(samples.shape[1], 16), nn.ReLU(), nn.Linear(16, 1))


def loss(logit: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of logits float32 [batch, 1] and labels int64 [batch], 0 or 1."""
    return nn.functional.binary_cross_entropy_with_logits(logit[:, 0], target.float())


RECIPE = Recipe(
    name="binary-classifier",
    load=lambda data: load_table(data, "breast-cancer.csv", classes=2),
    network=network,
    loss=loss,
    finish=nn.Sigmoid(),
    optimizer=partial(torch.optim.Adam, weight_decay=L2),  # adds L2 * weights to the gradient: L2 regularisation
    output="probability",
    task=lambda dataset: table_task(dataset, "probability", ["malignant", "benign"]),
    epochs=30,
    batch=32,
    peak_learning_rate=1e-2,
)
