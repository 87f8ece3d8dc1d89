"""Texts that calibrate and judge a model folder, tokenised with its own tokenizer, as the service tokenises."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from export.errors import DataError, in_one_line
from handlers.errors import CorruptFile, UnsupportedManifest
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import Tokenization
from handlers.tasks.tokens import Tokenizer, Tokens

__all__ = ["Encoding", "example_arrays", "open_tokenizer", "read_texts", "tokenized"]

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
    """How text becomes what a model takes, and how many different tokens the model knows."""

    tokenizer: Path | None
    tokenization: Tokenization
    vocabulary: int


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
    tokenizer = open_tokenizer(encoding.tokenizer, encoding.tokenization)
    calibration, evaluation = (tokenizer.encode(half) for half in (calibrating, judging))
    batches = _batches(evaluation)
    if values_of_a_token is not None:
        batches = _of_one_length(evaluation, _MOST_VALUES // values_of_a_token)
    return (
        [_arrays(tokenizer, encoding, batch) for batch in _batches(calibration)],
        [_arrays(tokenizer, encoding, batch) for batch in batches],
    )


def _of_one_length(texts: Sequence[Tokens], most_tokens: int) -> list[Sequence[Tokens]]:
    """Return the first texts, at least one and with at most so many tokens in all, in batches of one length each."""
    by_length: dict[int, list[Tokens]] = {}
    count = 0
    for tokens in texts:
        count += tokens.length
        if by_length and count > most_tokens:
            break
        by_length.setdefault(tokens.length, []).append(tokens)
    return [batch for group in by_length.values() for batch in _batches(group)]


def example_arrays(encoding: Encoding) -> Arrays:
    """Return one text of 64 tokens, the last 16 of them padding; fewer where the model takes fewer."""
    length = max(2, min(_EXAMPLE_TOKENS, encoding.tokenization.max_tokens - 1))
    kept = max(1, length * _EXAMPLE_TEXT_TOKENS // _EXAMPLE_TOKENS)
    if encoding.tokenizer is None:
        ids = np.arange(length, dtype=np.int64)[np.newaxis] % encoding.vocabulary
        arrays = {"ids": ids, "mask": (np.arange(length) < kept).astype(np.int64)[np.newaxis], "types": 0 * ids}
        return {name: arrays[kind] for name, kind in encoding.tokenization.inputs.items()}
    shorter = msgspec.structs.replace(encoding.tokenization, max_tokens=kept, pad_to=length)
    tokenizer = open_tokenizer(encoding.tokenizer, shorter)
    return _arrays(tokenizer, encoding, tokenizer.encode([_EXAMPLE]))


def open_tokenizer(path: Path, tokenization: Tokenization) -> Tokenizer:
    """Return the tokenizer in a file, as the service will use it.

    Raises:
        DataError: It is none, or it puts more special tokens into a text than the model takes.
    """
    try:
        return Tokenizer(path, tokenization)
    except (CorruptFile, UnsupportedManifest) as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error


def _arrays(tokenizer: Tokenizer, encoding: Encoding, batch: Sequence[Tokens]) -> Arrays:
    largest = max(int(tokens.ids.max(initial=0)) for tokens in batch)
    if largest >= encoding.vocabulary:
        msg = (
            f"tokenizer {encoding.tokenizer}: token {largest}, expected ids below the model's vocab_size "
            f"{encoding.vocabulary}; is it this model's tokenizer?"
        )
        raise DataError(msg)
    return tokenizer.collate(batch)


def _batches(texts: Sequence[Tokens]) -> list[Sequence[Tokens]]:
    return [texts[i : i + _BATCH] for i in range(0, len(texts), _BATCH)]
