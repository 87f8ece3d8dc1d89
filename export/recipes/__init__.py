"""Example models that anybody can train: one file each, through one training loop.

To make one of your own, copy the file that is nearest to it; `lambdaserve train my_recipe.py` takes it from anywhere.
This module imports no torch: the command line lists the recipes without it.
"""

__all__ = ["RECIPES"]

RECIPES = {
    "mlp-regressor": "dense 10-20-10, mean squared error: progress of diabetes from ten measurements",
    "mlp-classifier": "dense 64 and 32, softmax: handwritten digits of 8 x 8 pixels",
    "binary-classifier": "dense 16, sigmoid, L2 regularisation: breast cancer from 30 measurements",
    "mnist-cnn": "three convolutions and two dense layers: handwritten digits of 28 x 28 pixels",
    "gru-classifier": "recurrent, over time: summer or winter from a day's demand for electric power",
    "bert-classifier": "MiniLM, fine-tuned: is a movie review positive? (needs transformers and the encoder)",
}
"""Name -> what it is, in one line; `mnist-cnn` is `RECIPE` in `export/recipes/mnist_cnn.py`."""
