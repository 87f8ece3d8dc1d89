"""No sample calibrates and judges: by construction where a split is declared, and in the arrays themselves."""

import numpy as np
import pytest

from benchmarks.real import photos, speech
from benchmarks.real.catalogue import MODELS, RealModel
from benchmarks.real.encoders import sentences
from handlers.tasks.arrays import Arrays
from tests.benchmarks.real.carried import or_skip

COUNTS = {
    "mnist-cnn": (512, 10_000),
    "minilm": (256, 200),
    "bert-base": (256, 200),
    "sentiment": (512, 1_500),
    "speaker-lstm": (69, 58),
    "efficientnet": (128, 200),
    "adult-mlp": (1_024, 16_281),
}


def test_no_photograph_is_on_both_sides() -> None:
    scenes = [{name.partition("_")[0] for name in side} for side in (photos.CALIBRATING, photos.JUDGING)]
    assert not scenes[0] & scenes[1]
    assert "motorcycle" in scenes[0]  # a stereo pair, which counts as one


def test_what_calibrates_does_not_depend_on_the_speech_that_judges() -> None:
    samples = np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
    louder = samples.copy()
    louder[speech.JUDGING] *= 2
    before, after = (speech.mel_frames(values[speech.CALIBRATING]) for values in (samples, louder))
    assert np.array_equal(before, after)
    assert speech.JUDGING.start - speech.CALIBRATING.stop == 8_000  # half a second


def test_all_sentences_are_different() -> None:
    assert len(set(sentences())) == len(sentences()) == 512


def rows(batch: Arrays) -> list[bytes]:
    """Return each sample of a batch; texts without their padding, which depends on the batch."""
    first = next(iter(batch.values()))
    kept = batch.get("attention_mask", np.ones(first.shape[:2])).astype(bool)
    return [first[i][kept[i]].tobytes() for i in range(len(first))]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_no_input_is_on_both_sides(model: RealModel) -> None:
    source = or_skip(model.source)
    assert source.calibration is not None
    assert source.evaluation is not None
    calibrating = [row for batch in source.calibration for row in rows(batch)]
    judging = [row for batch, _ in source.evaluation.batches for row in rows(batch)]
    assert (len(calibrating), len(judging)) == COUNTS[model.name]
    if model.name != "adult-mlp":  # where many people have the same 29 features
        assert not set(calibrating) & set(judging)
