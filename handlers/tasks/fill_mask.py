"""The task `fill-mask`: a text with one mask in it, to tokens that fit there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta

from handlers.errors import InvalidInput, UnsupportedManifest
from handlers.tasks.arrays import Arrays
from handlers.tasks.options import read_options
from handlers.tasks.scores import scores
from handlers.tasks.task import Prepared, Schema
from handlers.tasks.texts import TextTask
from handlers.tasks.tokens import Tokens

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import FillMaskTask

__all__ = ["FillMask"]

_MOST = 100  # tokens to one mask: each comes with the whole text


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top_k: Annotated[int, Meta(ge=1, le=_MOST)] | None = None


class FillMask(TextTask):
    """Implements `handlers.tasks.task.Task`; answers as the pipeline `fill-mask` of transformers does to one mask."""

    def __init__(
        self,
        definition: "FillMaskTask",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tokenizer: Path | None,
    ) -> None:
        """See `TextTask`."""
        super().__init__(definition, inputs, outputs, tokenizer)
        self._definition = definition
        mask_id = self.tokenizer.backend.token_to_id(definition.mask_token)
        if mask_id is None:
            msg = f"task: mask_token {definition.mask_token!r}, expected one that the tokenizer knows"
            raise UnsupportedManifest(msg)
        self._mask_id: int = mask_id

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`."""
        prepared = super().prepare(instances)
        for number, tokens in enumerate(prepared):
            assert isinstance(tokens, Tokens)  # noqa: S101 - as TextTask prepares them
            count = int(np.count_nonzero(tokens.ids == self._mask_id))
            if count != 1:
                read = f"the {tokens.length} tokens that are read of it"
                msg = f"instances[{number}]: {count} times {self._definition.mask_token} in {read}, expected it once"
                raise InvalidInput(msg)
        return prepared

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: `top_k`, how many tokens, up to 100."""
        return read_options(options, _Options).top_k or self._definition.top_k

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """See `Task.answer`. A list of `{"score", "token", "token_str", "sequence"}`, the best first."""
        assert isinstance(options, int)  # noqa: S101 - as check_options returns it
        logits = outputs[self._definition.output]  # [batch, sequence, vocabulary]
        texts = [tokens.ids.tolist() for tokens in prepared if isinstance(tokens, Tokens)]
        places = [ids.index(self._mask_id) for ids in texts]
        rows = scores(logits[np.arange(len(texts)), places], "softmax")
        return [self._fill(ids, place, row, options) for ids, place, row in zip(texts, places, rows, strict=True)]

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        top_k = {"type": "integer", "minimum": 1, "maximum": _MOST, "default": self._definition.top_k}
        return {"type": "object", "properties": {"top_k": top_k}, "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        members = {
            "score": {"type": "number"},
            "token": {"type": "integer"},
            "token_str": {"type": "string"},
            "sequence": {"type": "string"},
        }
        return {"type": "array", "items": {"type": "object", "properties": members, "required": [*members]}}

    @property
    def example(self) -> object:
        """See `Task.example`."""
        return f"A man is eating {self._definition.mask_token}."

    def _fill(self, ids: list[int], place: int, row: np.ndarray, most: int) -> list[dict[str, object]]:
        best = np.argpartition(-row, min(most, len(row) - 1))[:most]
        best = best[np.argsort(-row[best], kind="stable")]
        filled = [[*ids[:place], token, *ids[place + 1 :]] for token in best.tolist()]
        # as the pipeline has it, padding is left out even where it is what was predicted
        pad_id = self._definition.tokenization.pad_id
        kept = [[token for token in tokens if token != pad_id] for tokens in filled]
        backend = self.tokenizer.backend
        sequences = backend.decode_batch(kept, skip_special_tokens=True)
        words = backend.decode_batch([[token] for token in best.tolist()], skip_special_tokens=False)
        return [
            {"score": float(row[token]), "token": token, "token_str": word, "sequence": sequence}
            for token, word, sequence in zip(best.tolist(), words, sequences, strict=True)
        ]
