"""A small convolutional network for handwritten digits: trained on MNIST in under a minute.

The module takes pixels that are already scaled to [0, 1]. Scaling (`mnist_data.scale_images`) stays outside of it:
the graph is the one that a user of PyTorch would export, and a client sends what the network was trained on.
"""

import torch
from torch import nn

from export.recipes.mnist_data import CLASSES, load_digits
from export.recipes.recipe import Recipe

__all__ = ["RECIPE", "MnistCnn"]


class MnistCnn(nn.Module):
    """Three convolutions and two dense layers, 93,322 parameters."""

    def __init__(self) -> None:
        """Draw initial weights from torch's global random state."""
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),  # [batch, 32, 13, 13]
            *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),  # [batch, 64, 5, 5]
            *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),  # [batch, 576]
        )
        self.classifier = nn.Sequential(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of the ten digits, float32 [batch, 10], of images float32 [batch, 1, 28, 28] in [0, 1]."""
        logits: torch.Tensor = self.classifier(self.features(image))
        return logits


RECIPE = Recipe(
    name="mnist-cnn",
    load=load_digits,
    network=lambda _: MnistCnn(),
    loss=nn.functional.cross_entropy,
    output="logits",
    epochs=6,
    batch=128,
    peak_learning_rate=5e-3,
)
