"""What the tasks of text have in common: instances, and the way to the model's inputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from handlers.errors import InvalidInput, UnsupportedManifest
from handlers.tasks.arrays import Arrays
from handlers.tasks.task import Prepared, Schema
from handlers.tasks.tokens import Text, Tokenizer, Tokens

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import (
        EmbeddingTask,
        FillMaskTask,
        TextClassificationTask,
        TokenClassificationTask,
        Tokenization,
    )

    TextDefinition = EmbeddingTask | FillMaskTask | TextClassificationTask | TokenClassificationTask

__all__ = ["TextTask"]

_INT64_MATRIX = 2


class TextTask:
    """Implements what `handlers.tasks.task.Task` asks of every task of text.

    An instance is a string or `{"text": "..."}`; UTF-8 where it is a raw body.
    """

    media_types: tuple[str, ...] = ("text/plain",)
    takes_pairs: ClassVar[bool] = False
    """Whether an instance may be `{"text": "...", "text_pair": "..."}` too."""
    keeps_places: ClassVar[bool] = False
    """Whether the answer needs to know where in the text the tokens are."""

    def __init__(
        self,
        definition: "TextDefinition",
        inputs: "Sequence[TensorSpec]",
        outputs: "Sequence[TensorSpec]",
        tokenizer: Path | None,
    ) -> None:
        """Take tensors as the model has them, and its tokenizer.json.

        Raises:
            UnsupportedManifest: There is no tokenizer, or the definition does not fit the tensors.
            CorruptFile: The tokenizer is none.
        """
        _check_inputs(definition.tokenization, inputs)
        labels = getattr(definition, "labels", None)
        _check_output(definition.output, None if labels is None else len(labels), outputs)
        if tokenizer is None:
            msg = "task: text without a tokenizer, expected the manifest to name one"
            raise UnsupportedManifest(msg)
        self.outputs: tuple[str, ...] = (definition.output,)
        self.tokenizer = Tokenizer(tokenizer, definition.tokenization)

    def memory_bytes(self, instances: Sequence[object]) -> int:  # noqa: ARG002
        """See `Task.memory_bytes`: nothing worth mentioning."""
        return 0

    def prepare(self, instances: Sequence[object]) -> list[Prepared]:
        """See `Task.prepare`."""
        texts = [self._read(number, instance) for number, instance in enumerate(instances)]
        return list(self.tokenizer.encode(texts, places=self.keeps_places))

    def collate(self, prepared: Sequence[Prepared]) -> Arrays:
        """See `Task.collate`."""
        return self.tokenizer.collate([tokens for tokens in prepared if isinstance(tokens, Tokens)])

    def count_tokens(self, prepared: Sequence[Prepared]) -> int:
        """See `Task.count_tokens`: those that the model reads, special ones included, padding not."""
        return sum(tokens.length for tokens in prepared)

    @property
    def instance_schema(self) -> Schema:
        """See `Task.instance_schema`."""
        members = {name: {"type": "string"} for name in ("text", *(("text_pair",) if self.takes_pairs else ()))}
        whole = {"type": "object", "properties": members, "required": ["text"], "additionalProperties": False}
        return {"oneOf": [{"type": "string"}, whole]}

    @property
    def example(self) -> object:
        """See `Task.example`."""
        return "A man is eating food."

    def _read(self, number: int, instance: object) -> Text:
        if isinstance(instance, str):
            return instance
        if isinstance(instance, bytes):
            return _decode(number, instance)
        if isinstance(instance, dict) and all(isinstance(value, str) for value in instance.values()):
            if instance.keys() == {"text"}:
                return str(instance["text"])
            if self.takes_pairs and instance.keys() == {"text", "text_pair"}:
                # transformers reads a pair whose second text is empty as one text
                text, pair = str(instance["text"]), str(instance["text_pair"])
                return (text, pair) if pair else text
        found = type(instance).__name__
        if isinstance(instance, dict):
            found = f"members {', '.join(repr(str(name)[:20]) for name in list(instance)[:3]) or 'none'}"
        expected = "`text` or the strings `text` and `text_pair`" if self.takes_pairs else "`text`"
        msg = f"instances[{number}]: {found}, expected a string, or an object with the string {expected}"
        raise InvalidInput(msg)


def _decode(number: int, body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        msg = f"instances[{number}]: {error.reason} at byte {error.start}, expected text in UTF-8"
        raise InvalidInput(msg) from error


def _check_inputs(tokenization: "Tokenization", inputs: "Sequence[TensorSpec]") -> None:
    found = {spec.name: (spec.datatype, len(spec.shape)) for spec in inputs}
    expected = dict.fromkeys(tokenization.inputs, ("INT64", _INT64_MATRIX))
    if found != expected:
        msg = f"task: inputs {', '.join(tokenization.inputs)} INT64 [batch, sequence], expected those of the model"
        raise UnsupportedManifest(msg)
    lengths = {spec.shape[1] for spec in inputs} - {-1}
    if lengths - {tokenization.pad_to}:
        msg = f"task: pad_to {tokenization.pad_to}, expected {min(lengths)} as the model's inputs have"
        raise UnsupportedManifest(msg)


def _check_output(name: str, labels: int | None, outputs: "Sequence[TensorSpec]") -> None:
    shape = next((spec.shape for spec in outputs if spec.name == name), None)
    if shape is None:
        msg = f"task: output {name!r}, expected one of: {', '.join(spec.name for spec in outputs)}"
        raise UnsupportedManifest(msg)
    if labels is not None and shape[-1:] not in {(labels,), (-1,)}:
        msg = f"task: {labels} labels, expected one for each element of {name!r} {list(shape)}"
        raise UnsupportedManifest(msg)
