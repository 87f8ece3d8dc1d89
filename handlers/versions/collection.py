"""Cleaning up: what a plan says is done, and each of its decisions is taken once more at that moment.

It can be interrupted anywhere, and done by several at once: what one began another ends.
"""

import msgspec

from handlers.errors import ArtifactError, ChangeRefused, VersionInUse, VersionNotFound
from handlers.registry.aliases import Aliases
from handlers.registry.names import model_prefix
from handlers.registry.stores import Progress, Store
from handlers.versions.changes import Operation
from handlers.versions.claims import close
from handlers.versions.listing import list_files
from handlers.versions.plans import Plan, Removal, Retention, needed_versions, plan_collection, unnamed_files
from handlers.versions.removal import delete_version, remove_files

__all__ = ["Collected", "Plan", "Removal", "Retention", "Skipped", "collect", "plan_collection"]


class Skipped(msgspec.Struct, frozen=True):
    """A step that was not done, because what it rested on has changed."""

    removal: Removal
    reason: str


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was done of a plan, and what was not."""

    model: str
    removed: tuple[Removal, ...]
    skipped: tuple[Skipped, ...]


def collect(store: Store, plan: Plan, operation: Operation, progress: Progress | None = None) -> Collected:
    """Do what a plan says, as far as it is still right.

    Args:
        store: Where the model is.
        plan: What to do.
        operation: Who, and why. Each version is retired under an id of its own, made of this one's.
        progress: Told how many bytes are gone.

    Raises:
        StoreUnavailable: The store could not be asked. What is done is done; plan again to go on.
    """
    removed: list[Removal] = []
    skipped: list[Skipped] = []
    for removal in plan.removals:
        try:
            _remove(store, plan, removal, operation, progress)
        except (ChangeRefused, VersionNotFound, ArtifactError) as error:
            skipped.append(Skipped(removal, str(error)))
        else:
            removed.append(removal)
    return Collected(model=plan.model, removed=tuple(removed), skipped=tuple(skipped))


def _remove(store: Store, plan: Plan, removal: Removal, operation: Operation, progress: Progress | None) -> None:
    model, version = plan.model, removal.version
    if version is None:
        swept = store.sweep(model_prefix(model), remove=True)
        if progress is not None:
            progress(sum(info.size for info in swept))
    elif removal.action == "delete":
        own = Operation(operation.by, operation.reason or removal.reason, f"{operation.id}-{version}")
        delete_version(
            store, model, version, own, check=lambda current: _check_unneeded(plan, version, current), progress=progress
        )
    elif removal.action == "close":
        if not close(store, model, version, operation, removal.reason):
            msg = f"version {version} of {model!r}: finished meanwhile, expected to find it given up"
            raise VersionInUse(msg)
        remove_files(store, model, version, progress)
    else:
        for found in list_files(store, model, version):
            for info in unnamed_files(store, model, found):
                store.delete(info.key)
                if progress is not None:
                    progress(info.size)


def _check_unneeded(plan: Plan, version: str, current: Aliases) -> None:
    """Refuse what is needed by now, or would not go if the plan were made now: newer ones may have been deleted."""
    reason = needed_versions(current).get(version)
    if reason is not None:
        msg = f"version {version} of {current.model!r}: {reason} by now, expected nobody to need it"
        raise VersionInUse(msg)
    gone = sorted(set(plan.newest) & set(current.retired), key=int)
    if gone:
        msg = (
            f"version {version} of {current.model!r}: {', '.join(gone)} deleted meanwhile, expected newer ones to "
            "stay; plan again"
        )
        raise VersionInUse(msg)
