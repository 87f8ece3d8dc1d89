"""Texts that calibrate and judge a model folder, tokenised with its own tokenizer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import DataError, in_one_line
from handlers.tasks.arrays import Arrays

__all__ = ["Encoding", "example_arrays", "read_texts", "tokenized"]

_BATCH = 8
_EXAMPLE_TOKENS = 64
_EXAMPLE_TEXT_TOKENS = 48  # the rest of the example is padding, so that masks are proven too
_MOST_TEXTS = 512  # in each half
_MOST_VALUES = 50_000_000  # of answers to texts that judge, where each token has some: 200 MB, kept for each variant
_EXAMPLE = (
    "The quick brown fox jumps over the lazy dog, while a dozen engineers measure how long it takes. In the evening "
    "they write down what they have found, compare it with what they expected, and go home through the rain, which is "
    "a good way to think about numbers, dogs and foxes alike."
)


@dataclass(frozen=True)
class Encoding:
    """How text becomes what a model takes: int64 arrays [batch, sequence] named `inputs`, `max_tokens` long at most."""

    tokenizer: Path | None
    inputs: tuple[str, ...]
    max_tokens: int
    vocabulary: int
    pad_id: int


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file, one a line, each once: the same text must not calibrate and judge.

    Raises:
        DataError: It cannot be read, or there are not two different texts in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"texts {path}: {in_one_line(error)}, expected a text file in UTF-8, one text a line"
        raise DataError(msg) from error
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(texts) < 2:  # noqa: PLR2004 - one for each half
        msg = f"texts {path}: {len(texts)} different texts, expected at least 2, better some hundred"
        raise DataError(msg)
    return texts


def tokenized(
    texts: Sequence[str], encoding: Encoding, values_of_a_token: int | None
) -> tuple[list[Arrays], list[Arrays]]:
    """Return batches that calibrate and batches that judge, no text in both.

    Args:
        texts: Different texts; every other one judges.
        encoding: How they become arrays.
        values_of_a_token: How many values the model answers for each token; None: its answers are for whole texts.
            If it answers for tokens, the texts of a batch that judges are of one length, so that no answers to padding
            are compared, and fewer judge if the answers would be too many.

    Raises:
        DataError: There is no tokenizer, or it cannot be read, or it knows tokens that the model does not.
    """
    if encoding.tokenizer is None:
        msg = "texts: given for a folder without a tokenizer.json, expected one; save it with save_pretrained()"
        raise DataError(msg)
    calibrating, judging = texts[::2][:_MOST_TEXTS], texts[1::2][:_MOST_TEXTS]
    tokenizer = _open(encoding)
    batches = _batches(judging)
    if values_of_a_token is not None:
        batches = _of_one_length(tokenizer, judging, _MOST_VALUES // values_of_a_token)
    return (
        [_arrays(tokenizer, encoding, batch) for batch in _batches(calibrating)],
        [_arrays(tokenizer, encoding, batch) for batch in batches],
    )


def _of_one_length(tokenizer: Any, texts: Sequence[str], most_tokens: int) -> list[Sequence[str]]:  # noqa: ANN401
    """Return the first texts, at least one and with at most so many tokens in all, in batches of one length each."""
    by_length: dict[int, list[str]] = {}
    tokens = 0
    for text, found in zip(texts, tokenizer.encode_batch(list(texts)), strict=True):
        tokens += len(found.ids)
        if by_length and tokens > most_tokens:
            break
        by_length.setdefault(len(found.ids), []).append(text)
    return [batch for group in by_length.values() for batch in _batches(group)]


def example_arrays(encoding: Encoding) -> Arrays:
    """Return one text of 64 tokens, the last 16 of them padding; fewer where the model takes fewer."""
    length = max(2, min(_EXAMPLE_TOKENS, encoding.max_tokens - 1))
    kept = max(1, length * _EXAMPLE_TEXT_TOKENS // _EXAMPLE_TOKENS)
    if encoding.tokenizer is None:
        ids = np.arange(length, dtype=np.int64) % encoding.vocabulary
        return {name: value[np.newaxis] for name, value in _named(encoding, ids, np.arange(length) < kept).items()}
    return _arrays(_open(encoding, kept), encoding, [_EXAMPLE], length)


def _open(encoding: Encoding, length: int | None = None) -> Any:  # noqa: ANN401 - tokenizers comes with transformers
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(encoding.tokenizer))
    except Exception as error:  # its errors are of no class of their own
        msg = f"tokenizer {encoding.tokenizer}: {in_one_line(error)}, expected a tokenizer.json"
        raise DataError(msg) from error
    tokenizer.enable_truncation(length or encoding.max_tokens)
    return tokenizer


def _arrays(tokenizer: Any, encoding: Encoding, texts: Sequence[str], length: int | None = None) -> Arrays:  # noqa: ANN401
    tokenizer.enable_padding(pad_id=encoding.pad_id, length=length)  # the model's: some count positions by it
    found = tokenizer.encode_batch(list(texts))
    arrays = {
        "input_ids": np.array([text.ids for text in found], np.int64),
        "attention_mask": np.array([text.attention_mask for text in found], np.int64),
        "token_type_ids": np.array([text.type_ids for text in found], np.int64),
    }
    largest = int(arrays["input_ids"].max(initial=0))
    if largest >= encoding.vocabulary:
        msg = (
            f"tokenizer {encoding.tokenizer}: token {largest}, expected ids below the model's vocab_size "
            f"{encoding.vocabulary}; is it this model's tokenizer?"
        )
        raise DataError(msg)
    return {name: arrays[name] for name in encoding.inputs}


def _named(encoding: Encoding, ids: np.ndarray, there: np.ndarray) -> Arrays:
    arrays = {"input_ids": ids, "attention_mask": there.astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    return {name: arrays[name] for name in encoding.inputs}


def _batches(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
