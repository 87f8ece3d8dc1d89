"""Networks in which some layers are harmed by int8, and all others are not: what a search has to find."""

from collections.abc import Collection

import numpy as np
import torch
from torch import nn

from export import Evaluation, ModelSource

__all__ = ["LAYERS", "WIDTH", "planted"]

LAYERS, WIDTH = 12, 64


def planted(
    *, activations: Collection[int] = (), weights: Collection[int] = (), seed: int = 0, samples: int = 192
) -> ModelSource:
    """Return a source with a chain of dense layers.

    Args:
        activations: Layers whose input has one channel of huge numbers, which they ignore: the channel takes up the
            range of uint8, and nothing is left for the others.
        weights: Layers with one column of huge weights, for a channel that is always zero: the column takes up the
            range of int8.
        seed: Of weights and data.
        samples: Half of them calibrate, half judge.
    """
    random = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]
    with torch.no_grad():
        for layer in layers:
            # about orthogonal, so that neither signal nor noise grows or fades on its way
            layer.weight.copy_(torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=random)).Q)
            layer.bias.copy_(0.1 * torch.randn(WIDTH, generator=random))
        for i in activations:
            layers[i - 1].weight[0] *= 3e4
            layers[i].weight[:, 0] = 0
        for i in weights:
            layers[i - 1].weight[1] = 0
            layers[i - 1].bias[1] = 0
            layers[i].weight[:, 1] = 1e4
    chain = nn.Sequential(*[part for layer in layers for part in (layer, nn.LeakyReLU(0.5))][:-1])
    data = torch.randn(samples, WIDTH, generator=random).numpy().astype(np.float32)
    half = samples // 2
    return ModelSource(
        name="planted",
        module=chain,
        inputs={"x": torch.zeros(1, WIDTH)},
        outputs=["y"],
        calibration=[{"x": data[:half]}],
        evaluation=Evaluation([({"x": data[half:]}, None)], "cosine"),
    )
