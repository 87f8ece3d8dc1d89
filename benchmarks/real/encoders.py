"""Encoders of text as a user has them: a model folder and a file of texts.

The texts are sentences of movie reviews (C. J. Hutto, E. Gilbert, "VADER", ICWSM 2014).
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from export import Evaluation, ModelSource
from export.recipes.reviews import read_reviews
from export.sources import SourceOptions, load

__all__ = ["load_encoder", "sentences"]

CALIBRATION_SENTENCES = 256
JUDGING_SENTENCES = 200


def load_encoder(folder: Path, name: str) -> ModelSource:
    """Return the encoder in a model folder; 256 sentences calibrate, and 200 others judge by agreement with PyTorch."""
    with tempfile.TemporaryDirectory() as temporary:
        texts = Path(temporary) / "texts.txt"
        texts.write_text("\n".join(sentences()), encoding="utf-8")
        made = load(str(folder), SourceOptions(name=name, texts=texts))
    assert made.evaluation is not None  # noqa: S101 - there are texts
    judging, count = [], 0
    for batch, target in made.evaluation.batches:
        count += len(batch["input_ids"])
        if count > JUDGING_SENTENCES:
            break
        judging.append((batch, target))
    return replace(made, evaluation=Evaluation(judging))


def sentences() -> list[str]:
    """Return 512 different sentences, drawn evenly from all reviews: every other one calibrates, the others judge."""
    _, reviews = read_reviews(None)
    different = list(dict.fromkeys(reviews))
    count = 2 * CALIBRATION_SENTENCES
    return different[:: len(different) // count][:count]
