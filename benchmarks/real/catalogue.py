"""The models, how each is built, and what it has to reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.real import adult_mlp, bert_base, efficientnet, minilm, mnist_cnn, sentiment, speaker_lstm
from benchmarks.real.bars import Bar, at_least, at_most
from export import ModelSource
from export.build import VARIANTS
from export.measure import MAX_SLOWDOWN

__all__ = ["LARGE", "MODELS", "RealModel"]


@dataclass(frozen=True)
class RealModel:
    """One model of the benchmark.

    Attributes:
        name: On the command line, and of its folder below build/real.
        source: Returns the trained module with its data.
        max_loss: What a variant may lose, as `lambdaserve build --max-loss`.
        classifies: Whether its first output holds a score for each class, or the probability of one.
        bars: What the chosen variant has to reach.
        variants: Which are tried beside fp32.
    """

    name: str
    source: Callable[[], ModelSource]
    max_loss: float
    classifies: bool
    bars: tuple[Bar, ...]
    variants: Sequence[str] = VARIANTS


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
        "bert-base",
        bert_base.source,
        max_loss=0.01,
        classifies=False,
        bars=(at_least("cosine", 0.99), at_most("size_ratio", 0.30), at_least("times_pytorch", 2.5)),
        variants=("int8-dynamic",),  # what MiniLM comes to; to try all takes a quarter of an hour at this size
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

LARGE = RealModel("large", bert_base.large_source, max_loss=0.01, classifies=False, bars=(), variants=())
"""A file of 435 MB, for cold starts alone: of its quality and speed there is nothing to say beside fp32."""
