"""A speaker encoder: three LSTM layers that turn 1.6 s of speech into an embedding of who speaks.

Resemblyzer (Apache-2.0), after L. Wan, Q. Wang, A. Papir, I. L. Moreno, "Generalized End-to-End Loss for Speaker
Verification", arXiv:1710.10467. 1,423,616 parameters.
"""

import numpy as np
import torch
from torch import nn

from benchmarks.real.carriers import carried_file
from benchmarks.real.speech import CALIBRATING, JUDGING, MELS, mel_frames, read_samples, windows
from export import Evaluation, ModelSource
from handlers.tasks.arrays import Arrays

__all__ = ["SpeakerEncoder", "source"]

STEP = 5  # frames from window to window: 50 ms
BATCH = 16


class SpeakerEncoder(nn.Module):
    """The network of Resemblyzer's voice_encoder.py."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, 256, num_layers=3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Return embeddings float32 [batch, 256] of length 1 for mels float32 [batch, frames, 40]."""
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def source() -> ModelSource:
    """Return the encoder; the first five seconds of a recording calibrate, and the last four and a half judge.

    The samples are cut before anything is computed from them: even the loudness of a part is its own.
    """
    samples = read_samples(carried_file("useful-moonshine", "moonshine/assets/beckett.wav"))
    calibration, judging = (_batches(windows(mel_frames(samples[part]), STEP)) for part in (CALIBRATING, JUDGING))
    return ModelSource(
        name="speaker-lstm",
        module=_network(),
        inputs={"mels": torch.from_numpy(judging[0]["mels"][:1].copy())},
        outputs=["embedding"],
        dynamic={"mels": {0: "batch", 1: "frames"}},
        calibration=calibration,
        evaluation=Evaluation([(batch, None) for batch in judging]),
    )


def _network() -> SpeakerEncoder:
    file = torch.load(carried_file("resemblyzer", "resemblyzer/pretrained.pt"), map_location="cpu", weights_only=True)
    # the rest belongs to the loss of the training
    weights = {name: value for name, value in file["model_state"].items() if not name.startswith("similarity")}
    network = SpeakerEncoder()
    network.load_state_dict(weights)
    return network.eval()


def _batches(mels: np.ndarray) -> list[Arrays]:
    return [{"mels": mels[start : start + BATCH]} for start in range(0, len(mels), BATCH)]
