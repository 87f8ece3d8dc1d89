"""Everything that needs torch: turns a trained model into a proven artifact. Never deployed."""

from typing import TYPE_CHECKING, Any

from handlers.tasks.definitions import (
    CategoricalColumn,
    EmbeddingTask,
    FillMaskTask,
    ImageClassificationTask,
    NumericColumn,
    Resize,
    TabularTask,
    TensorTask,
    TextClassificationTask,
    TokenClassificationTask,
    Tokenization,
)

if TYPE_CHECKING:
    from export.source import Evaluation, ModelSource

__all__ = [
    "CategoricalColumn",
    "EmbeddingTask",
    "Evaluation",
    "FillMaskTask",
    "ImageClassificationTask",
    "ModelSource",
    "NumericColumn",
    "Resize",
    "TabularTask",
    "TensorTask",
    "TextClassificationTask",
    "TokenClassificationTask",
    "Tokenization",
]

_WITH_TORCH = {"Evaluation", "ModelSource"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the signature that PEP 562 gives
    """Import torch only when a source is written, so that `serve`, `publish` and `verify` work without it."""
    if name in _WITH_TORCH:
        import export.source

        return getattr(export.source, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
