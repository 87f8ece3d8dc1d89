"""`lambdaserve models gc`: what would go of a store, and what went, for people. Needs no torch."""

import time

from rich.table import Table

from export.report import format_size
from handlers.errors import ArtifactError, ModelNotFound
from handlers.registry.aliases import list_models
from handlers.registry.names import check_model_name
from handlers.registry.stores import Store
from handlers.versions.collection import Collected, Plan, Removal, Retention, plan_collection

__all__ = ["describe_collected", "plan_models", "to_plan_table"]

_SUBJECTS = {
    "delete": "version {version} of {model}",
    "close": "unfinished version {version} of {model}",
    "clear": "files of version {version} of {model} that nothing names",
    "sweep": "hidden files of {model}",
}


def plan_models(store: Store, model: str | None, retention: Retention) -> tuple[list[Plan], list[ArtifactError]]:
    """Return what would go, of one model or of all, and what is wrong with those of which nobody can tell.

    Models of which nothing would go are left out. One that is damaged keeps none of the others from being cleaned up;
    where it was asked for by its name, that is raised.

    Raises:
        ModelNotFound: There is no such model.
        StoreUnavailable: The store could not be asked.
        LambdaserveError: As `plan_collection`.
    """
    names = list_models(store)
    if model is not None and check_model_name(model) not in names:
        msg = f"model {model!r}: not in {store.url}, expected one of: {', '.join(names) or 'none'}"
        raise ModelNotFound(msg)
    now_s = time.time()
    plans: list[Plan] = []
    problems: list[ArtifactError] = []
    for name in names if model is None else [model]:
        try:
            plans.append(plan_collection(store, name, retention, now_s))
        except ArtifactError as error:
            if model is not None:
                raise
            problems.append(error)
    return [plan for plan in plans if plan.removals], problems


def to_plan_table(plans: list[Plan]) -> Table:
    """Return what would go, step by step."""
    size_bytes = sum(plan.size_bytes for plan in plans)
    table = Table("what", "why", "size", caption=f"{format_size(size_bytes)} in all")
    for plan in plans:
        for removal in plan.removals:
            table.add_row(_subject(plan.model, removal), removal.reason, format_size(removal.size_bytes))
    return table


def describe_collected(done: list[Collected]) -> str:
    """Return what went and what did not, a line each."""
    lines = [f"removed {_subject(each.model, removal)}" for each in done for removal in each.removed]
    lines += [f"left {_subject(each.model, skip.removal)}: {skip.reason}" for each in done for skip in each.skipped]
    return "\n".join(lines)


def _subject(model: str, removal: Removal) -> str:
    return _SUBJECTS[removal.action].format(model=model, version=removal.version)
