"""The task `token-classification`: a text, to labels of its tokens, one by one or put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
import numpy as np

from handlers.tasks.arrays import Arrays
from handlers.tasks.options import read_options
from handlers.tasks.scores import scores
from handlers.tasks.task import Prepared, Schema
from handlers.tasks.texts import TextTask
from handlers.tasks.tokens import Tokens

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import TokenClassificationTask

__all__ = ["TokenClassification"]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    aggregation_strategy: Literal["none", "simple"] = "none"


@dataclass(frozen=True)
class _Entity:
    """One token with its best label. `start` and `end` count characters of the user's text."""

    entity: str
    score: np.float32
    index: int
    word: str
    start: int
    end: int


class TokenClassification(TextTask):
    """Implements `handlers.tasks.task.Task`; answers as the pipeline `token-classification` of transformers does."""

    keeps_places: ClassVar[bool] = True

    def __init__(
        self,
        definition: "TokenClassificationTask",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tokenizer: Path | None,
    ) -> None:
        """See `TextTask`."""
        super().__init__(definition, inputs, outputs, tokenizer)
        self._definition = definition
        unknown = getattr(self.tokenizer.backend.model, "unk_token", None)  # some kinds of tokenizers know every text
        self._unknown_id = None if unknown is None else self.tokenizer.backend.token_to_id(unknown)

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: `aggregation_strategy`, "none" or "simple"."""
        return read_options(options, _Options).aggregation_strategy

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """See `Task.answer`.

        A list of `{"entity", "score", "index", "word", "start", "end"}`, or with the strategy "simple" of
        `{"entity_group", "score", "word", "start", "end"}`, in the order of the text, ignored labels left out.
        """
        found = scores(outputs[self._definition.output], "softmax")  # [batch, sequence, labels]
        answers: list[object] = []
        for tokens, rows in zip(prepared, found, strict=True):
            assert isinstance(tokens, Tokens)  # noqa: S101 - as prepare returns them
            entities = self._entities(tokens, rows)
            answers.append(self._grouped(entities) if options == "simple" else self._single(entities))
        return answers

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        strategy = {"type": "string", "enum": ["none", "simple"], "default": "none"}
        return {"type": "object", "properties": {"aggregation_strategy": strategy}, "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        characters = {"type": "integer", "description": "in characters of the text"}
        place = {"score": {"type": "number"}, "word": {"type": "string"}, "start": characters, "end": characters}
        single = {"entity": {"type": "string"}, "index": {"type": "integer"}, **place}
        grouped = {"entity_group": {"type": "string"}, **place}
        kinds = [{"type": "object", "properties": kind, "required": [*kind]} for kind in (single, grouped)]
        return {"type": "array", "items": {"oneOf": kinds}}

    def _entities(self, tokens: Tokens, rows: np.ndarray) -> list[_Entity]:
        assert tokens.places is not None  # noqa: S101 - as prepare returns them
        entities = []
        best = rows.argmax(axis=-1).tolist()
        for index, (token, (start, end)) in enumerate(zip(tokens.ids.tolist(), tokens.places.tolist(), strict=True)):
            if start < 0:  # a special token
                continue
            known = token != self._unknown_id
            word = self.tokenizer.backend.id_to_token(token) if known else str(tokens.text)[start:end]
            label = best[index]
            entities.append(_Entity(self._definition.labels[label], rows[index, label], index, word, start, end))
        return entities

    def _single(self, entities: Sequence[_Entity]) -> list[dict[str, object]]:
        return [
            {
                "entity": entity.entity,
                "score": float(entity.score),
                "index": entity.index,
                "word": entity.word,
                "start": entity.start,
                "end": entity.end,
            }
            for entity in entities
            if entity.entity not in self._definition.ignored_labels
        ]

    def _grouped(self, entities: Sequence[_Entity]) -> list[dict[str, object]]:
        """Put neighbours of one label together; a label `B-...` begins a new group."""
        groups: list[list[_Entity]] = []
        for entity in entities:
            begins, tag = _parts(entity.entity)
            if groups and not begins and tag == _parts(groups[-1][-1].entity)[1]:
                groups[-1].append(entity)
            else:
                groups.append([entity])
        named = [(group[0].entity.split("-", 1)[-1], group) for group in groups]
        return [
            {
                "entity_group": name,
                "score": float(np.mean([entity.score for entity in group])),
                "word": self._join([entity.word for entity in group]),
                "start": group[0].start,
                "end": group[-1].end,
            }
            for name, group in named
            if name not in self._definition.ignored_labels
        ]

    def _join(self, words: list[str]) -> str:
        decoder = self.tokenizer.backend.decoder
        return " ".join(words) if decoder is None else str(decoder.decode(words))


def _parts(label: str) -> tuple[bool, str]:
    """Return whether a label begins an entity, and which; one that is neither `B-...` nor `I-...` goes on with it."""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
