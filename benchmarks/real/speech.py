"""A recording of speech as a speaker encoder hears it: mel spectrograms of parts that share no sample.

The recording is `beckett.wav` of useful-moonshine (MIT): ten seconds, 16 kHz, one speaker.
"""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["CALIBRATING", "FRAMES", "JUDGING", "MELS", "mel_frames", "read_samples", "windows"]

Floats = npt.NDArray[np.float32]

CALIBRATING = slice(0, 80_000)  # samples: five seconds
JUDGING = slice(88_000, 160_000)  # half a second later, to the end
FRAMES = 160  # in a window: 1.6 s
MELS = 40

_RATE = 16_000
_FFT = 400  # samples in a frame: 25 ms
_HOP = 160  # samples from frame to frame: 10 ms
_LOUDNESS_DB = -30.0


def read_samples(path: Path) -> Floats:
    """Return the samples of a mono WAV file of 16 bits and 16 kHz: float32 [samples] in [-1, 1]."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(32768)


def mel_frames(samples: Floats) -> Floats:
    """Return the mel power spectrum float32 [frames, 40] of samples float32 [n], every 10 ms, at a mean of -30 dB.

    As Resemblyzer's audio.py has it: librosa's `melspectrogram`, with frames centred on their time, a periodic Hann
    window and the mel scale of M. Slaney, "Auditory Toolbox", 1998.
    """
    samples = samples * 10 ** ((_LOUDNESS_DB - 10 * np.log10(np.mean(samples**2))) / 20)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, _FFT // 2), _FFT)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FFT + 1)[:-1], axis=1)) ** 2  # [frames, 201]
    mels: Floats = (power @ _filters().T).astype(np.float32)
    return mels


def windows(frames: Floats, step: int) -> Floats:
    """Return every `step`-th window of 160 frames: float32 [windows, 160, 40] of frames float32 [frames, 40]."""
    return np.stack([frames[start : start + FRAMES] for start in range(0, len(frames) - FRAMES + 1, step)])


def _filters() -> npt.NDArray[np.float64]:
    """Return triangles of equal area over the bins of the transform, evenly spaced in mel: [40, 201]."""
    edges = _to_hz(np.linspace(0, _to_mel(np.array(_RATE / 2)), MELS + 2))[:, np.newaxis]
    bins = np.linspace(0, _RATE / 2, _FFT // 2 + 1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(0, triangles) * 2 / (high - low)


def _to_mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slaney's scale: linear up to 1,000 Hz, which are 15 mel, and logarithmic from there."""
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1) / 1000) / np.log(6.4) * 27)  # noqa: PLR2004


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))  # noqa: PLR2004
