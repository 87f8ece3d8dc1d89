"""From text to tokens to arrays: the one place that uses `tokenizers`, for the service and the export step alike."""

import functools
from collections.abc import Sequence
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

_IDS = 2**32  # what an id is in `tokenizers`


@dataclass(frozen=True)
class Tokens:
    """A text as the model reads it: `ids` and `types` of each token, special ones included, without padding."""

    ids: list[int]
    types: list[int]
    text: Text = ""
    encoding: Any = None
    """What `tokenizers` says of the tokens: where in the text they are, which are special. None for ids of a user's."""

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

    def encode(self, texts: Sequence[Text]) -> list[Tokens]:
        """Return the tokens of each text, truncated. Of a text, 64 characters are read for each of `max_tokens`."""
        encodings = self.backend.encode_batch([self._bounded(text) for text in texts])
        return [
            Tokens(encoding.ids, encoding.type_ids, text, encoding)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

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
        kept = [*before, *inner[: self._tokenization.max_tokens - len(before) - len(after)], *after]
        return Tokens(kept, [0] * len(kept))

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
        [tokens] = self.encode(["a"])
        special = tokens.encoding.special_tokens_mask
        first = special.index(0) if 0 in special else len(special)
        last = len(special) - special[::-1].index(0) if 0 in special else len(special)
        return tokens.ids[:first], tokens.ids[last:]

    def _bounded(self, text: Text) -> Text:
        if isinstance(text, str):
            return text[: self._most_characters]
        return text[0][: self._most_characters], text[1][: self._most_characters]
