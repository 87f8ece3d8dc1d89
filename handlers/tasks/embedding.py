"""The task `embedding`: a text, to the vector that the model makes of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from handlers.errors import InvalidInput
from handlers.tasks.arrays import Arrays
from handlers.tasks.options import refuse_options
from handlers.tasks.task import Prepared, Schema
from handlers.tasks.texts import TextTask
from handlers.tasks.tokens import Tokens

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import EmbeddingTask

__all__ = ["Embedding"]


class Embedding(TextTask):
    """Implements `handlers.tasks.task.Task`. An instance may also be a list of token ids."""

    def __init__(
        self,
        definition: "EmbeddingTask",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tokenizer: Path | None,
    ) -> None:
        """See `TextTask`."""
        super().__init__(definition, inputs, outputs, tokenizer)
        self._output = definition.output
        shape = next(spec.shape for spec in outputs if spec.name == definition.output)
        self.dimensions: int | None = shape[-1] if shape[-1] > 0 else None
        """How long the vectors are, where the model says so."""

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`."""
        texts = [(number, instance) for number, instance in enumerate(instances) if not isinstance(instance, list)]
        read = self.tokenizer.encode([self._read(number, instance) for number, instance in texts])
        encoded = dict(zip((number for number, _ in texts), read, strict=True))
        return [
            self._take_ids(number, instance) if isinstance(instance, list) else encoded[number]
            for number, instance in enumerate(instances)
        ]

    def check_options(self, options: dict[str, object]) -> object:
        """See `Task.check_options`: there are none."""
        refuse_options(options)
        return None

    def answer(self, prepared: Sequence[Prepared], outputs: Arrays, options: object) -> list[object]:  # noqa: ARG002
        """See `Task.answer`. A list of numbers."""
        return list(outputs[self._output].tolist())

    @property
    def instance_schema(self) -> Schema:
        """See `Task.instance_schema`."""
        ids = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
        return {"oneOf": [*super().instance_schema["oneOf"], ids]}

    @property
    def options_schema(self) -> Schema:
        """See `Task.options_schema`."""
        return {"type": "object", "additionalProperties": False}

    @property
    def prediction_schema(self) -> Schema:
        """See `Task.prediction_schema`."""
        fixed = {} if self.dimensions is None else {"minItems": self.dimensions, "maxItems": self.dimensions}
        return {"type": "array", "items": {"type": "number"}, **fixed}

    def _take_ids(self, number: int, ids: list[object]) -> Tokens:
        try:
            return self.tokenizer.take_ids(ids)
        except InvalidInput as error:
            msg = f"instances[{number}]: {error}"
            raise InvalidInput(msg) from error
