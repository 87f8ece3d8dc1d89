"""From what a manifest says of its task to a task that is ready to use."""

from pathlib import Path
from typing import TYPE_CHECKING

from handlers.errors import UnsupportedManifest
from handlers.tasks.definitions import (
    EmbeddingTask,
    FillMaskTask,
    ImageClassificationTask,
    TabularTask,
    TensorTask,
    TextClassificationTask,
    TokenClassificationTask,
    task_kind,
)
from handlers.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import TaskDefinition

__all__ = ["open_task"]


def open_task(
    definition: "TaskDefinition",
    inputs: "Sequence[TensorSpec]",
    outputs: "Sequence[TensorSpec]",
    tokenizer: Path | None,
) -> Task:
    """Return the task that a definition describes. Imports what it needs (tokenizers, Pillow) and no more.

    Args:
        definition: From a manifest or a source.
        inputs: What the model takes.
        outputs: What it returns.
        tokenizer: A tokenizer.json, for the tasks that read text; not needed afterwards.

    Raises:
        UnsupportedManifest: The definition does not fit the model's inputs and outputs.
        CorruptFile: The tokenizer is none.
    """
    task: Task
    match definition:
        case TensorTask():
            from handlers.tasks.rows import TensorRows

            task = TensorRows(inputs, outputs)
        case ImageClassificationTask():
            from handlers.tasks.images.classification import ImageClassification

            task = ImageClassification(definition, inputs, outputs)
        case TextClassificationTask():
            from handlers.tasks.text_classification import TextClassification

            task = TextClassification(definition, inputs, outputs, tokenizer)
        case TokenClassificationTask():
            from handlers.tasks.token_classification import TokenClassification

            task = TokenClassification(definition, inputs, outputs, tokenizer)
        case FillMaskTask():
            from handlers.tasks.fill_mask import FillMask

            task = FillMask(definition, inputs, outputs, tokenizer)
        case EmbeddingTask():
            from handlers.tasks.embedding import Embedding

            task = Embedding(definition, inputs, outputs, tokenizer)
        case TabularTask():
            from handlers.tasks.tabular import TabularRows

            task = TabularRows(definition, inputs, outputs)
        case _:
            msg = f"task: {task_kind(definition)}, expected one that this version of lambdaserve serves"
            raise UnsupportedManifest(msg)
    return task
