"""A recurrent network for time series: is this the electric power that Italy takes on a day of summer or of winter?

Data: 67 + 1,029 days, 24 hours each (E. Keogh, L. Wei, X. Xi, S. Lonardi, J. Shieh, S. Sirowy, "Intelligent Icons",
ICDM 2006), split as in the UCR archive. A folder with any other problem in the `.ts` format does as well.
"""

import torch
from torch import nn

from export.recipes.recipe import Dataset, Recipe
from export.recipes.series import load_series

__all__ = ["RECIPE"]

HIDDEN = 64


class GruClassifier(nn.Module):
    """Reads a series hour by hour and judges by the state that this ends in."""

    def __init__(self, dimensions: int, classes: int) -> None:
        """Draw initial weights from torch's global random state."""
        super().__init__()
        self.recurrent = nn.GRU(dimensions, HIDDEN, batch_first=True)
        self.classifier = nn.Linear(HIDDEN, classes)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return logits float32 [batch, classes] of series float32 [batch, time, dimensions]."""
        _, last = self.recurrent(series)  # [1, batch, hidden]
        logits: torch.Tensor = self.classifier(last[0])
        return logits


def network(dataset: Dataset) -> nn.Module:
    """Return a network for the dimensions and the classes of the data."""
    return GruClassifier(dataset.train.inputs["series"].shape[2], int(dataset.train.targets.max()) + 1)


RECIPE = Recipe(
    name="gru-classifier",
    load=load_series,
    network=network,
    loss=nn.functional.cross_entropy,
    output="logits",
    epochs=60,
    batch=16,
    peak_learning_rate=1e-2,
)
