"""What tokenising and batching add to the session's time: 32 sentences for MiniLM, fp32.

The reference is the session's run on the same sentences as one padded batch. The service cuts them into batches of
about one length, so its own runs may take less than that; this is told apart from what it adds.
"""

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.models import publish_minilm
from benchmarks.warm.invocation import time_ms
from benchmarks.warm.service import make_app
from export.recipes.reviews import read_reviews
from handlers.api.call import Call
from handlers.api.predict import Instances, predict

__all__ = ["TextCost", "measure_text"]

_SENTENCES = 32
_ROUNDS = 40


@dataclass(frozen=True)
class TextCost:
    """Milliseconds, each a list over the rounds: the padded run, the service's prediction, and what it is no run of."""

    padded_run_ms: list[float]
    prediction_ms: list[float]
    added_ms: list[float]

    @property
    def added(self) -> float:
        """What tokenising and batching add, as a part of the padded run."""
        return statistics.median(self.added_ms) / statistics.median(self.padded_run_ms)

    @property
    def whole(self) -> float:
        """How long the prediction takes, as a multiple of the padded run."""
        return statistics.median(self.prediction_ms) / statistics.median(self.padded_run_ms)


def measure_text() -> TextCost:
    """Build and serve MiniLM, and measure in turns.

    Raises:
        SourceError: The package that carries its weights is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        _, models = make_app(publish_minilm(Path(folder)))
    model = models.await_model("minilm", None, 60)
    sentences = _sentences()
    padded = model.task.collate(model.task.prepare(sentences))
    together = model.session.run(padded, model.task.outputs)[model.task.outputs[0]]
    alone = np.array(predict(Call(model), Instances(sentences, {})))
    np.testing.assert_allclose(alone, together, atol=1e-5)  # a wrong answer is no result
    cost = TextCost([], [], [])
    for _ in range(_ROUNDS):
        call = Call(model)
        cost.padded_run_ms.append(time_ms(lambda: model.session.run(padded, model.task.outputs)))
        cost.prediction_ms.append(time_ms(lambda call=call: predict(call, Instances(sentences, {}))))  # type: ignore[misc]
        cost.added_ms.append(cost.prediction_ms[-1] - call.clock.phases_ms["infer"])
    return cost


def _sentences() -> list[str]:
    """Return sentences of movie reviews, drawn evenly from all of them."""
    _, reviews = read_reviews(None)
    return reviews[:: len(reviews) // _SENTENCES][:_SENTENCES]
