"""A dense network for classes: which digit do 8 x 8 pixels show?

Data: 1,797 digits (E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998), each pixel the ink
in a square of 4 x 4, 0 to 16.
"""

from torch import nn

from export.recipes.recipe import Dataset, Recipe
from export.recipes.tables import Standardize, load_table, table_task

__all__ = ["RECIPE"]

CLASSES = 10


def network(dataset: Dataset) -> nn.Module:
    """Return a network for the columns of the data, with weights from torch's global random state.

    It takes float32 [batch, columns] in the units of the table and returns logits float32 [batch, 10].
    """
    samples = dataset.train.inputs["x"]
    return nn.Sequential(
        Standardize(samples),
        *(nn.Linear(samples.shape[1], 64), nn.ReLU()),
        *(nn.Linear(64, 32), nn.ReLU()),
        nn.Linear(32, CLASSES),
    )


RECIPE = Recipe(
    name="mlp-classifier",
    load=lambda data: load_table(data, "digits.csv", CLASSES),
    network=network,
    loss=nn.functional.cross_entropy,
    finish=nn.Softmax(dim=1),  # the loss takes logits, for its numeric range; a client is given probabilities
    output="probabilities",
    task=lambda dataset: table_task(dataset, "probabilities", [str(digit) for digit in range(CLASSES)]),
    epochs=30,
    batch=32,
    peak_learning_rate=5e-3,
)
