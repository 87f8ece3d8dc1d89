"""Whether the definition of the task `tabular` is consistent, and fits the model."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

from handlers.errors import UnsupportedManifest
from handlers.tasks.datatypes import FLOATS
from handlers.tasks.definitions import CategoricalColumn, NumericColumn

if TYPE_CHECKING:
    from handlers.registry.manifest import TensorSpec
    from handlers.tasks.definitions import TabularTask

__all__ = ["check_consistency", "check_inputs", "check_output"]

_INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})


def check_consistency(task: "TabularTask") -> None:
    """Check a definition by itself.

    Raises:
        UnsupportedManifest: It contradicts itself.
    """
    names = [*(column.name for column in task.columns), *task.ignored]
    for name in names:
        if names.count(name) > 1:
            _refuse(f"column {name!r} twice", "each column once")
    for column in task.columns:
        problems = _of_numbers(column) if isinstance(column, NumericColumn) else _of_categories(column)
        for found, expected in problems:
            _refuse(f"column {column.name!r}: {found}", expected)
    if task.labels and (len(task.labels) < 2 or len({*task.labels}) < len(task.labels)):  # noqa: PLR2004 - one of two
        _refuse(f"labels {', '.join(task.labels[:10])}", "two or more, each once")
    if task.activation != "none" and not task.labels:
        _refuse(f"activation {task.activation!r} without labels", "'none', as the output's elements are the answer")


def check_inputs(inputs: "Sequence[TensorSpec]", widths: dict[str, int]) -> None:
    """Check that the columns fill the model's inputs, where `widths` says how many elements they give to each.

    Raises:
        UnsupportedManifest: They do not.
    """
    specs = {spec.name: spec for spec in inputs}
    if specs.keys() != widths.keys():
        _refuse(f"columns of inputs {', '.join(widths)}", f"of those of the model: {', '.join(specs)}")
    for name, width in widths.items():
        spec = specs[name]
        if spec.datatype not in FLOATS | _INTEGERS:
            _refuse(f"columns of input {name!r}, which is {spec.datatype}", "of one that is numbers")
        fits = spec.shape[1:] in {(width,), (-1,)} or (len(spec.shape) == 1 and width == 1)
        if not fits:
            _refuse(f"{width} elements from the columns of input {name!r}", f"{list(spec.shape)} of the model")


def check_output(task: "TabularTask", outputs: "Sequence[TensorSpec]") -> None:
    """Check that the task can read the output that it names.

    Raises:
        UnsupportedManifest: It cannot.
    """
    found = next((spec for spec in outputs if spec.name == task.output), None)
    if found is None:
        _refuse(f"output {task.output!r}", f"one of the model's: {', '.join(spec.name for spec in outputs)}")
    if found.datatype not in FLOATS | _INTEGERS or len(found.shape) not in {1, 2}:
        _refuse(f"output {task.output!r} {found.datatype} {list(found.shape)}", "numbers [batch] or [batch, elements]")
    elements = found.shape[1] if len(found.shape) > 1 else 1
    if not task.labels or elements == -1:
        return
    of_the_second = elements == 1 and len(task.labels) == 2  # noqa: PLR2004 - one of two
    if elements != len(task.labels) and not of_the_second:
        wanted = f"{len(task.labels)} elements, as many as there are labels"
        _refuse(f"output {task.output!r} of {elements} elements", f"{wanted}, or one for two labels")
    if elements == 1 and task.activation == "softmax":
        _refuse("softmax of one element, which is always 1", "'sigmoid', or 'none' where the model ends in one")


def _of_numbers(column: NumericColumn) -> Iterator[tuple[str, str]]:
    numbers = [column.offset, column.scale, column.missing, column.minimum, column.maximum]
    if column.scale == 0 or not all(math.isfinite(number) for number in numbers if number is not None):
        yield "scale 0, or a number that is not finite", "finite ones, and another scale"
    if column.minimum is not None and column.maximum is not None and column.minimum > column.maximum:
        yield f"minimum {column.minimum:g}", f"at most the maximum, {column.maximum:g}"


def _of_categories(column: CategoricalColumn) -> Iterator[tuple[str, str]]:
    if len({*column.categories}) < len(column.categories):
        yield "a category twice", "each once"
    instead = [word for word in (column.missing, column.unknown) if word is not None]
    for word in [*column.aliases.values(), *instead]:
        if word not in column.categories:
            yield f"{word!r} in place of other words", f"one of the categories: {', '.join(column.categories[:10])}"
    for word in column.aliases:
        if word in column.categories:
            yield f"alias {word!r}", "another word than a category"
    if column.encoding == "dummy" and len(column.categories) == 1:
        yield "dummy encoding of one category, which is nothing", "two or more"


def _refuse(found: str, expected: str) -> NoReturn:
    msg = f"task tabular: {found}, expected {expected}"
    raise UnsupportedManifest(msg)
