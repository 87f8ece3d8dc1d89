"""Movie reviews with the mean rating that people gave them, cut into tokens as an encoder takes them."""

import hashlib
import json
from pathlib import Path

import msgspec
import numpy as np
import torch

from export.errors import DataError
from export.recipes.files import find_file, read_text
from export.recipes.recipe import Dataset, Split
from export.sources.texts import open_tokenizer
from export.sources.tokenizer import TOKENIZER_FILE
from handlers.tasks.arrays import Arrays
from handlers.tasks.definitions import Tokenization

__all__ = ["load_reviews", "order_by_length", "read_reviews", "tokenization_of", "trim_padding"]

FILE = "movie-reviews.tsv"
HELD_OUT = 1_500
TOKENS = 64  # at most, of a text
LEAST_RATING = 0.5  # of -4 to 4, either way: what people found neither good nor bad is left out


def load_reviews(data: Path | None, encoder: Path) -> Dataset:
    """Return the reviews as tokens, 1,500 of them (a fifth, if they are few) held out by a hash of their text.

    Args:
        data: Folder that may hold `movie-reviews.tsv`; None: the reviews that are shipped.
        encoder: Folder with `config.json` and `tokenizer.json`.

    Returns:
        Inputs `input_ids` and `attention_mask` int64 [n, 64], padded at the end; targets int64 [n], 1 for positive.

    Raises:
        DataError: A file is missing or broken.
    """
    ratings, texts = read_reviews(data)
    order = sorted(range(len(texts)), key=lambda index: hashlib.sha256(texts[index].encode()).digest())
    held_out = min(HELD_OUT, len(texts) // 5)
    tokenizer = open_tokenizer(
        encoder / TOKENIZER_FILE, msgspec.structs.replace(tokenization_of(encoder), pad_to=TOKENS)
    )
    train, test = (
        Split(
            tokenizer.collate(tokenizer.encode([texts[index] for index in chosen])),
            np.array([ratings[index] > 0 for index in chosen], np.int64),
        )
        for chosen in (order[held_out:], order[:held_out])
    )
    return Dataset(train, test, pretrained=encoder, tokenizer=encoder / TOKENIZER_FILE)


def read_reviews(data: Path | None) -> tuple[list[float], list[str]]:
    """Return ratings (-4 to 4, none between -0.5 and 0.5) and the texts they belong to.

    Raises:
        DataError: The file is missing or broken, or has fewer than five reviews.
    """
    path = find_file(data, [FILE], FILE)
    ratings, texts = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        rating, tab, text = line.partition("\t")
        try:
            value = float(rating)
        except ValueError:
            value = np.nan
        if not tab or not text.strip() or not np.isfinite(value):
            msg = f"{path}, line {number}: {line[:40]!r}, expected a rating, a tab and a text"
            raise DataError(msg)
        if abs(value) > LEAST_RATING:
            ratings.append(value)
            texts.append(text.strip())
    if len(texts) < 5:  # noqa: PLR2004 - one of them is held out
        msg = f"{path}: {len(texts)} reviews rated beyond {LEAST_RATING} either way, expected at least 5"
        raise DataError(msg)
    return ratings, texts


def trim_padding(inputs: Arrays) -> Arrays:
    """Cut what is padding in all texts of a batch: int64 [batch, 64] becomes [batch, longest]."""
    longest = int(inputs["attention_mask"].sum(1).max())
    return {name: np.ascontiguousarray(values[:, :longest]) for name, values in inputs.items()}


def order_by_length(split: Split, batch: int) -> torch.Tensor:
    """Draw an order, int64 [n], whose batches hold texts of similar length: less padding, half the time.

    Texts are shuffled, sorted within groups of 16 batches, and the batches shuffled again.
    """
    lengths = torch.from_numpy(split.inputs["attention_mask"].sum(1))
    groups = torch.split(torch.randperm(len(split)), 16 * batch)
    batches = [part for group in groups for part in torch.split(group[lengths[group].argsort(stable=True)], batch)]
    last = batches.pop()  # may be short, so it stays where it is
    return torch.cat([*(batches[index] for index in torch.randperm(len(batches))), last])


def tokenization_of(encoder: Path) -> Tokenization:
    """Return how texts become what the classifier takes: `input_ids` and `attention_mask`, 64 tokens at most.

    Raises:
        DataError: The encoder's `config.json` is missing or broken.
    """
    path = encoder / "config.json"
    try:
        pad_id = json.loads(read_text(path)).get("pad_token_id")
    except (ValueError, AttributeError) as error:
        msg = f"{path}: {error}, expected the config of a BERT"
        raise DataError(msg) from error
    return Tokenization(inputs={"input_ids": "ids", "attention_mask": "mask"}, max_tokens=TOKENS, pad_id=pad_id or 0)
