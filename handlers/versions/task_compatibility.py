"""What may change in a task when a version takes the place of another one: `handlers.versions.compatibility`'s part."""

import math
from collections.abc import Sequence

from handlers.tasks.definitions import (
    CategoricalColumn,
    Column,
    FillMaskTask,
    ImageClassificationTask,
    NumericColumn,
    TabularTask,
    TaskDefinition,
    TextClassificationTask,
    TokenClassificationTask,
    task_kind,
)
from handlers.tasks.tensor import show_names
from handlers.versions.difference import Difference

__all__ = ["added_labels", "compare_tasks"]


_LABEL_TASKS = (ImageClassificationTask, TextClassificationTask, TokenClassificationTask, TabularTask)


def added_labels(present: TaskDefinition, new: TaskDefinition) -> dict[str, int]:
    """Return by output how many labels stand behind those that there were; empty where that is not all there is."""
    if not isinstance(present, _LABEL_TASKS) or not isinstance(new, _LABEL_TASKS):
        return {}
    known = len(present.labels)
    if not known or present.output != new.output or new.labels[:known] != present.labels:
        return {}
    return {new.output: len(new.labels) - known}


def compare_tasks(present: TaskDefinition, new: TaskDefinition) -> list[Difference]:
    """Return how a task differs from the present one for those who send instances and read predictions."""
    before, after = task_kind(present), task_kind(new)
    if before != after:
        return [Difference("task", "kind", before, after, "instances and predictions are other ones")]
    found = (
        _labels(present.labels, new.labels)
        if isinstance(present, _LABEL_TASKS) and isinstance(new, _LABEL_TASKS)
        else []
    )
    if isinstance(present, FillMaskTask) and isinstance(new, FillMaskTask) and present.mask_token != new.mask_token:
        problem = "texts hold another mask"
        found.append(Difference("task", "mask_token", repr(present.mask_token), repr(new.mask_token), problem))
    if isinstance(present, TabularTask) and isinstance(new, TabularTask):
        found += _columns(present, new)
    return found


def _labels(before: Sequence[str], after: Sequence[str]) -> list[Difference]:
    if before == after:
        return []
    gone = [label for label in before if label not in set(after)]
    added = [label for label in after if label not in set(before)]
    problem = None
    if gone:
        problem = "predictions with it are expected"
    elif tuple(after[: len(before)]) != tuple(before):
        problem = "they stood in another order"
    elif not before:
        problem = "predictions were numbers"
    words = (_counted(before, "gone", gone), _counted(after, "new", added))
    return [Difference("labels", "labels", *words, problem)]


def _counted(labels: Sequence[str], what: str, some: list[str]) -> str:
    return f"{len(labels)} labels" + (f" ({what}: {show_names(some)})" if some else "")


def _columns(present: TabularTask, new: TabularTask) -> list[Difference]:
    before = {column.name: column for column in present.columns}
    after = {column.name: column for column in new.columns}
    found: list[Difference] = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, column = before.get(name), after.get(name)
        if old is None or column is None:
            problem = _unpaired(column, ignored=name in new.ignored)
        elif (problem := _narrowed(old, column)) is None:
            continue  # offsets, scales and places are the model's business
        found.append(Difference("column", name, _words(old), _words(column), problem))
    found += [
        Difference("column", name, "ignored", None, "rows that have it are refused")
        for name in present.ignored
        if name not in after and name not in new.ignored
    ]
    return found


def _unpaired(new: Column | None, *, ignored: bool) -> str | None:
    if new is None:
        return None if ignored else "rows that have it are refused"
    return "rows that lack it are refused" if new.missing is None else None


def _narrowed(old: Column, new: Column) -> str | None:
    """Return what a column refuses that it took."""
    if old.missing is not None and new.missing is None:
        return "rows that lack it are refused"
    match old, new:
        case NumericColumn(), NumericColumn():
            return _narrowed_bounds(old, new)
        case CategoricalColumn(), CategoricalColumn():
            return _narrowed_words(old, new)
    return "its values were of another type"


def _narrowed_bounds(old: NumericColumn, new: NumericColumn) -> str | None:
    least = [-math.inf if column.minimum is None else column.minimum for column in (old, new)]
    most = [math.inf if column.maximum is None else column.maximum for column in (old, new)]
    return "it took more numbers" if least[1] > least[0] or most[1] < most[0] else None


def _narrowed_words(old: CategoricalColumn, new: CategoricalColumn) -> str | None:
    if new.unknown is not None:
        return None
    if old.unknown is not None:
        return "it took any word"
    gone = [word for word in (*old.categories, *old.aliases) if word not in {*new.categories, *new.aliases}]
    return f"it took {show_names(gone)}" if gone else None


def _words(column: Column | None) -> str | None:
    match column:
        case NumericColumn():
            bounds = (
                f" from {column.minimum} to {column.maximum}"
                if (column.minimum, column.maximum) != (None, None)
                else ""
            )
            return f"number{bounds}{_stand_in(column)}"
        case CategoricalColumn():
            others = " or any other" if column.unknown is not None else ""
            return f"one of {show_names(column.categories)}{others}{_stand_in(column)}"
    return None


def _stand_in(column: Column) -> str:
    return "" if column.missing is None else f", {column.missing!r} where there is none"
