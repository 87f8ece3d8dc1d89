"""What a manifest says of its task: all that stands between a user's input and the tensors, as docs/tasks.md has it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = [
    "Activation",
    "CategoricalColumn",
    "Column",
    "EmbeddingTask",
    "FillMaskTask",
    "ImageClassificationTask",
    "NumericColumn",
    "Resize",
    "TabularTask",
    "TaskDefinition",
    "TensorTask",
    "TextClassificationTask",
    "TokenClassificationTask",
    "Tokenization",
    "task_kind",
]

Activation = Literal["none", "softmax", "sigmoid"]
"""What makes scores of an output: nothing, softmax over its last axis, or the logistic function of each element."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Length = Annotated[int, Meta(ge=1, le=16_384)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A piece of the manifest: immutable, and nothing in it that this reader does not know."""


class TensorTask(_Part, frozen=True, tag="tensor", tag_field="kind"):
    """Nothing: the user sends the tensors themselves."""


class Resize(_Part, frozen=True):
    """Scale an image to `height` and `width`, or, where `keep_aspect`, its shorter side to the shorter of them."""

    height: Length
    width: Length
    keep_aspect: bool = False
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"


class ImageClassificationTask(_Part, frozen=True, tag="image-classification", tag_field="kind"):
    """An image: decoded, resized, cropped from its centre, scaled to 0..1, normalised; scores become labels.

    `mean` and `std` have an element for each channel: three where `color` is "RGB", one where it is "L" (grey).
    `exif_orientation` turns photographs upright; torchvision's datasets do not.
    """

    input: Name
    output: Name
    labels: tuple[str, ...]
    color: Literal["RGB", "L"] = "RGB"
    exif_orientation: bool = True
    resize: Resize | None = None
    crop: tuple[Length, Length] | None = None
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    activation: Activation = "softmax"
    top_k: Annotated[int, Meta(ge=1)] = 5


class Tokenization(_Part, frozen=True):
    """How text becomes ids, with the manifest's `tokenizer`.

    `inputs` says what each input of the model is given, int64 [batch, sequence]. Texts longer than `max_tokens`,
    special ones included, are truncated; batches are padded to their longest text, or all to `pad_to`.
    """

    inputs: dict[Name, Literal["ids", "mask", "types"]]
    max_tokens: Length
    pad_id: Annotated[int, Meta(ge=0)] = 0
    pad_to: Length | None = None


class TextClassificationTask(_Part, frozen=True, tag="text-classification", tag_field="kind"):
    """A text, to scores of `labels`; `output` is [batch, labels]."""

    tokenization: Tokenization
    output: Name
    labels: tuple[str, ...]
    activation: Activation = "softmax"


class TokenClassificationTask(_Part, frozen=True, tag="token-classification", tag_field="kind"):
    """A text, to a label for each of its tokens; `output` is [batch, sequence, labels]."""

    tokenization: Tokenization
    output: Name
    labels: tuple[str, ...]
    ignored_labels: tuple[str, ...] = ("O",)


class FillMaskTask(_Part, frozen=True, tag="fill-mask", tag_field="kind"):
    """A text with `mask_token` in it, to tokens that fit there; `output` is [batch, sequence, vocabulary]."""

    tokenization: Tokenization
    output: Name
    mask_token: Name
    top_k: Annotated[int, Meta(ge=1)] = 5


class EmbeddingTask(_Part, frozen=True, tag="embedding", tag_field="kind"):
    """A text, to a vector; `output` is [batch, dimensions], pooled and normalised by the model itself."""

    tokenization: Tokenization
    output: Name


class NumericColumn(_Part, frozen=True, tag="numeric", tag_field="type"):
    """A number x, given to the model as (x - `offset`) / `scale`; `missing` stands in for x where there is none.

    A row without it is refused where `missing` is None. `minimum` and `maximum` bound what is taken.
    """

    name: Name
    input: Name
    offset: float = 0.0
    scale: float = 1.0
    missing: float | None = None
    minimum: float | None = None
    maximum: float | None = None


class CategoricalColumn(_Part, frozen=True, tag="categorical", tag_field="type"):
    """One of `categories`, as `encoding` gives it to the model.

    "one-hot": an element for each category, 1 where it is that one, else 0. "dummy": the same without the first
    category, which is all zeros. "index": its place among the categories, from 0.

    `aliases` are other words for categories. `missing` and `unknown` are the categories that stand in where there is no
    value or another one; where they are None, such a row is refused.
    """

    name: Name
    input: Name
    categories: Annotated[tuple[str, ...], Meta(min_length=1)]
    encoding: Literal["one-hot", "dummy", "index"] = "one-hot"
    aliases: dict[str, str] = {}
    missing: str | None = None
    unknown: str | None = None


Column = NumericColumn | CategoricalColumn


class TabularTask(_Part, frozen=True, tag="tabular", tag_field="kind"):
    """A row of named columns. Those of one `input` stand side by side in it, in this order: [batch, features].

    With `labels`, `output` holds scores: one for each label, or where it has one element, of the second of two labels.
    Without, its elements are the answer.

    A row may have columns that are `ignored`, and no others beside those of the model. `missing_words` are texts that
    stand for no value, unless they are categories or aliases of a column.
    """

    columns: Annotated[tuple[Column, ...], Meta(min_length=1)]
    output: Name
    labels: tuple[str, ...] = ()
    activation: Activation = "none"
    ignored: tuple[Name, ...] = ()
    missing_words: tuple[str, ...] = ("",)


TaskDefinition = (
    TensorTask
    | ImageClassificationTask
    | TextClassificationTask
    | TokenClassificationTask
    | FillMaskTask
    | EmbeddingTask
    | TabularTask
)


def task_kind(definition: TaskDefinition) -> str:
    """Return the name of the task, `kind` in the manifest."""
    return str(definition.__struct_config__.tag)
