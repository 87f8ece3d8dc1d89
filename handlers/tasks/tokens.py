"""From text to tokens to arrays: the one place that uses `tokenizers`, for the service and the export step alike."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from handlers.errors import CorruptFile, InvalidInput, UnsupportedManifest
from handlers.tasks.arrays import Arrays

if TYPE_CHECKING:
    from handlers.tasks.definitions import Tokenization

__all__ = ["Text", "Tokenizer", "Tokens"]

Text = str | tuple[str, str]
"""A text, or a pair of texts that the model reads as one."""

# A token stands for some four characters. Of a text that has more than this many for each token that the model takes,
# the rest is not looked at: a megabyte takes half a second, and all but the beginning of it would be cut off again.
_CHARACTERS_OF_A_TOKEN = 64

_SLICE_CHARACTERS = 65_536  # what is tokenised at once: `tokenizers` holds some 100 bytes for each token of it
_SLICE_TEXTS = 1_000
_IDS = 2**31  # more than any tokenizer has


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it: each token, special ones included, without padding. `text` only with `places`."""

    ids: np.ndarray  # int32 [length]
    types: np.ndarray  # int32 [length]
    places: np.ndarray | None = None
    """int32 [length, 2]: where in the text each token begins and ends, in characters; -1 for special ones."""
    text: Text = ""

    @property
    def length(self) -> int:
        """See `handlers.tasks.task.Prepared`."""
        return len(self.ids)


class Tokenizer:
    """A `tokenizer.json`, used as a manifest says. Never changed after it was opened, so safe to use from many threads.

    `tokenizers` encodes batches on all cores, in threads that it starts once; nothing here forks, which is what its
    setting TOKENIZERS_PARALLELISM is about.

    Attributes:
        backend: The `tokenizers.Tokenizer`.
    """

    def __init__(self, path: Path, tokenization: "Tokenization") -> None:
        """Open the file, which is not needed afterwards. What it says of truncation and padding itself does not count.

        Raises:
            CorruptFile: It is no tokenizer.
            UnsupportedManifest: `tokenization` contradicts itself or the tokenizer.
        """
        import tokenizers  # 30 ms, for models that take text alone

        try:
            self.backend: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # its errors are of no class of their own
            reason = " ".join(str(error).split())
            msg = f"tokenizer {path.name}: {reason}, expected a tokenizer.json"
            raise CorruptFile(msg) from error
        special = self.backend.num_special_tokens_to_add(is_pair=False)
        longest = tokenization.max_tokens
        if longest <= special:
            msg = f"task: max_tokens {longest}, expected more than the {special} special tokens of each text"
            raise UnsupportedManifest(msg)
        if tokenization.pad_to is not None and tokenization.pad_to < longest:
            msg = f"task: pad_to {tokenization.pad_to}, expected at least max_tokens {longest}"
            raise UnsupportedManifest(msg)
        self.backend.enable_truncation(longest)
        self.backend.no_padding()  # done below, when it is known which texts make a batch
        self._tokenization = tokenization
        self._most_characters = longest * _CHARACTERS_OF_A_TOKEN

    def encode(self, texts: Sequence[Text], *, places: bool = False) -> list[Tokens]:
        """Return the tokens of each text, truncated. Of a text, 64 characters are read for each of `max_tokens`.

        Args:
            texts: Any number of them.
            places: Whether the texts are kept with the tokens' places in them.
        """
        encode = self.backend.encode_batch if places else self.backend.encode_batch_fast
        found: list[Tokens] = []
        for batch in _slices([self._bounded(text) for text in texts]):
            encodings = encode(batch)
            if places:
                found += [_with_places(encoding, text) for encoding, text in zip(encodings, batch, strict=True)]
            else:
                found += [Tokens(_array(encoding.ids), _array(encoding.type_ids)) for encoding in encodings]
        return found

    def take_ids(self, ids: Sequence[object]) -> Tokens:
        """Return the tokens with these ids, truncated.

        The special tokens at both ends may be there or not; where they are not, they are put there, so that the tokens
        of a text are the same thing as the text.

        Raises:
            InvalidInput: There are none, or one is no id of this tokenizer.
        """
        checked = []
        for token in ids:
            if type(token) is not int or not 0 <= token < _IDS or self.backend.id_to_token(token) is None:
                found = token if type(token) is int and abs(token) < _IDS else type(token).__name__
                msg = f"token {found}, expected an id of the model's tokenizer"
                raise InvalidInput(msg)
            checked.append(token)
        if not checked:
            msg = "no tokens, expected at least one"
            raise InvalidInput(msg)
        before, after = self._ends
        whole = checked[: len(before)] == before and checked[len(checked) - len(after) :] == after
        inner = checked[len(before) : len(checked) - len(after)] if whole else checked
        kept = _array([*before, *inner[: self._tokenization.max_tokens - len(before) - len(after)], *after])
        return Tokens(kept, np.zeros_like(kept))

    def collate(self, batch: Sequence[Tokens]) -> Arrays:
        """Return the model's inputs, int64 [batch, sequence], padded behind the tokens."""
        length = self._tokenization.pad_to or max(tokens.length for tokens in batch)
        shape = (len(batch), length)
        arrays = {
            "ids": np.full(shape, self._tokenization.pad_id, np.int64),
            "mask": np.zeros(shape, np.int64),
            "types": np.zeros(shape, np.int64),
        }
        for row, tokens in enumerate(batch):
            arrays["ids"][row, : tokens.length] = tokens.ids
            arrays["mask"][row, : tokens.length] = 1
            arrays["types"][row, : tokens.length] = tokens.types
        return {name: arrays[kind] for name, kind in self._tokenization.inputs.items()}

    @functools.cached_property
    def _ends(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after each text."""
        found = self.backend.encode("a")
        ids, special = found.ids, found.special_tokens_mask
        first = special.index(0) if 0 in special else len(ids)
        last = len(ids) - special[::-1].index(0) if 0 in special else len(ids)
        return ids[:first], ids[last:]

    def _bounded(self, text: Text) -> Text:
        if isinstance(text, str):
            return text[: self._most_characters]
        return text[0][: self._most_characters], text[1][: self._most_characters]


def _slices(texts: Sequence[Text]) -> Iterator[Sequence[Text]]:
    """Yield the texts in their order, as many at once as take little memory while they are tokenised."""
    start = characters = 0
    for index, text in enumerate(texts):
        characters += len(text) if isinstance(text, str) else len(text[0]) + len(text[1])
        if characters > _SLICE_CHARACTERS or index + 1 - start >= _SLICE_TEXTS or index + 1 == len(texts):
            yield texts[start : index + 1]
            start, characters = index + 1, 0


def _with_places(encoding: Any, text: Text) -> Tokens:  # noqa: ANN401 - of `tokenizers`, which has no types
    special = np.array(encoding.special_tokens_mask, bool)
    places = np.where(special[:, np.newaxis], -1, _array(encoding.offsets).reshape(-1, 2))
    return Tokens(_array(encoding.ids), _array(encoding.type_ids), places, text)


def _array(values: Sequence[Any]) -> np.ndarray:
    return np.array(values, np.int32)
