"""The task `text-classification`: a text, or a pair of texts, to labels with scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from msgspec import Meta

from handlers.tasks.arrays import Arrays
from handlers.tasks.options import read_options
from handlers.tasks.scores import scores, top
from handlers.tasks.task import Prepared, Schema
from handlers.tasks.texts import TextTask

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import TextClassificationTask

__all__ = ["TextClassification"]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    top_k: Annotated[int, Meta(ge=1)] | None = None


class TextClassification(TextTask):
    """Implements `handlers.tasks.task.Task`; answers as the pipeline `text-classification` of transformers does."""

    takes_pairs: ClassVar[bool] = True

    def __init__(
        self,
        definition: "TextClassificationTask",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tokenizer: Path | None,
    ) -> None:
        """See `TextTask`."""
        super().__init__(definition, inputs, outputs, tokenizer)
        self._definition = definition

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: `top_k`, how many labels; all where it is not given."""
        return read_options(options, _Options).top_k or len(self._definition.labels)

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:
        """See `Task.answer`. A list of `{"label", "score"}`, the best first."""
        assert isinstance(options, int)  # noqa: S101 - as check_options returns it
        rows = scores(outputs[self._definition.output], self._definition.activation)
        return [top(row, self._definition.labels, options) for row in rows[: len(prepared)]]

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        top_k = {"type": "integer", "minimum": 1, "description": "how many labels; all where it is not given"}
        return {"type": "object", "properties": {"top_k": top_k}, "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        label = {"type": "string", "enum": list(dict.fromkeys(self._definition.labels))}
        members = {"label": label, "score": {"type": "number"}}
        return {"type": "array", "items": {"type": "object", "properties": members, "required": [*members]}}
