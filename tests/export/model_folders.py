"""Tiny Hugging Face model folders, made when they are asked for. Import it behind `pytest.importorskip`."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import BertConfig, PreTrainedTokenizerFast

from tests.words import SPECIAL, word_tokenizer

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "mat",
    "good",
    "bad",
    "film",
    "was",
    "not",
    "very",
    "rain",
    "in",
    "of",
]
WORDS += ["and", "to", "house", "tree"]
TEXTS = [f"{a} {b} {c} {'very ' * (i % 4)}{d}" for i, (a, b, c, d) in enumerate(
    (a, b, c, d) for a in ("the", "a") for b in ("cat", "dog", "film") for c in ("sat", "ran", "was") for d in ("good", "bad")
)]  # fmt: skip
SIZES = {
    "vocab_size": len(WORDS) + len(SPECIAL),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of whole words as transformers has it."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(WORDS),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask", "token_type_ids"],
    )


def make_folder(folder: Path, architecture: str = "BertModel", *, config: Any = None, **saving: Any) -> Any:
    """Save a tiny model with random weights and its tokenizer, and return the model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, architecture)(config or BertConfig(**SIZES)).eval()
    with torch.no_grad():  # random weights of the usual size answer nearly nothing; these differ from text to text
        for value in model.parameters():
            if value.dim() > 1:
                value.mul_(5)
    to_save = model if "dtype" not in saving else getattr(transformers, architecture)(model.config)
    if "dtype" in saving:
        to_save.load_state_dict(model.state_dict())
        to_save = to_save.to(saving.pop("dtype"))
        model.load_state_dict({key: value.float() for key, value in to_save.state_dict().items()})
    to_save.save_pretrained(folder, **saving)
    make_tokenizer().save_pretrained(folder)
    return model


def add_pooling(folder: Path, modes: dict[str, bool], *, normalize: bool) -> None:
    """Write what sentence-transformers writes."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalize else [])]
    entries = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **modes}))
