"""The task of a model folder: what its config and its tokenizer say of text and answers."""

from pathlib import Path
from typing import Any

from export.sources.texts import open_tokenizer
from export.sources.tokenizer import special_token
from handlers.tasks.definitions import (
    Activation,
    EmbeddingTask,
    FillMaskTask,
    TaskDefinition,
    TextClassificationTask,
    TokenClassificationTask,
    Tokenization,
)

__all__ = ["text_task"]

_MASKS = ("[MASK]", "<mask>")  # of BERT and RoBERTa and all their kin, for folders that do not say


def text_task(
    loader: str,
    config: Any,  # noqa: ANN401 - see hugging_face
    tokenization: Tokenization,
    folder: Path,
    tokenizer: Path,
) -> TaskDefinition | None:
    """Return the task of a folder with a tokenizer.

    Args:
        loader: The class of transformers that reads it.
        config: What config.json says.
        tokenization: How its texts become arrays.
        folder: Where its files are.
        tokenizer: Its tokenizer.json.

    Returns:
        None for a masked language model whose tokenizer knows no mask.

    Raises:
        DataError: The tokenizer cannot be used.
    """
    match loader:
        case "AutoModelForSequenceClassification":
            return TextClassificationTask(
                tokenization=tokenization, output="logits", labels=_labels(config), activation=_activation(config)
            )
        case "AutoModelForTokenClassification":
            return TokenClassificationTask(tokenization=tokenization, output="logits", labels=_labels(config))
        case "AutoModelForMaskedLM":
            known = open_tokenizer(tokenizer, tokenization).backend.token_to_id
            named = special_token(folder, "mask_token")
            mask = next((token for token in (named, *_MASKS) if token and known(token) is not None), None)
            return None if mask is None else FillMaskTask(tokenization=tokenization, output="logits", mask_token=mask)
    return EmbeddingTask(tokenization=tokenization, output="embedding")


def _labels(config: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    return tuple(str(config.id2label.get(index, f"LABEL_{index}")) for index in range(config.num_labels))


def _activation(config: Any) -> Activation:  # noqa: ANN401 - as above
    """Return what the pipeline of transformers makes scores with."""
    if config.problem_type == "regression":
        return "none"
    return "sigmoid" if config.problem_type == "multi_label_classification" or config.num_labels == 1 else "softmax"
