"""The models, how each is built, and what it has to reach."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.real import adult_mlp, efficientnet, minilm, mnist_cnn, sentiment, speaker_lstm
from benchmarks.real.bars import Bar, at_least, at_most
from export import ModelSource
from export.measure import MAX_SLOWDOWN

__all__ = ["MODELS", "RealModel"]


@dataclass(frozen=True)
class RealModel:
    """One model of the benchmark.

    Attributes:
        name: On the command line, and of its folder below build/real.
        source: Returns the trained module with its data.
        max_loss: What a variant may lose, as `lambdaserve build --max-loss`.
        classifies: Whether its first output holds a score for each class, or the probability of one.
        bars: What the chosen variant has to reach.
    """

    name: str
    source: Callable[[], ModelSource]
    max_loss: float
    classifies: bool
    bars: tuple[Bar, ...]


MODELS = (
    RealModel(
        "mnist-cnn",
        mnist_cnn.source,
        max_loss=0.002,
        classifies=True,
        bars=(at_most("points_lost", 0.2), at_most("size_ratio", 0.30)),
    ),
    RealModel(
        "minilm",
        minilm.source,
        max_loss=0.01,
        classifies=False,
        bars=(at_least("cosine", 0.99), at_most("size_ratio", 0.30), at_least("times_pytorch", 2.5)),
    ),
    RealModel(
        "sentiment",
        sentiment.source,
        max_loss=0.005,
        classifies=True,
        bars=(at_most("points_lost", 0.5), at_most("size_ratio", 0.30), at_least("times_pytorch", 2.5)),
    ),
    RealModel(
        "speaker-lstm",
        speaker_lstm.source,
        max_loss=0.01,
        classifies=False,
        bars=(at_least("cosine", 0.99), at_most("size_ratio", 0.35)),
    ),
    RealModel(
        "efficientnet",
        efficientnet.source,
        max_loss=0.05,
        classifies=True,
        bars=(
            *(at_least("top_1", 0.95), at_least("cosine", 0.99)),
            # slower is what takes more than a tenth longer: less is noise
            *(at_least("times_fp32", 1 / MAX_SLOWDOWN), at_most("size_ratio", 0.5)),
        ),
    ),
    # so small that fp32 may well be the best: what it gains, if anything, is for the table to say
    RealModel("adult-mlp", adult_mlp.source, max_loss=0.01, classifies=True, bars=()),
)
