"""Routes that change what an alias names: promote, canary, rollback."""

from fastapi import APIRouter

from handlers.api.management.answers import ChangeDone, HistoryEntry
from handlers.api.management.refusals import REFUSALS
from handlers.api.management.requests import AliasName, CanaryRequest, ModelName, PromoteRequest, RollbackRequest
from handlers.api.management.service import ChangeGiven
from handlers.registry.aliases import AliasChange
from handlers.versions.aliasing import rollback
from handlers.versions.promotion import canary_checked, promote_checked

__all__ = ["router"]

router = APIRouter(prefix="/models/{model}/aliases/{alias}", tags=["aliases"], responses=REFUSALS)


@router.post("/promote")
def promote_version(model: ModelName, alias: AliasName, body: PromoteRequest, asked: ChangeGiven) -> ChangeDone:
    """Let an alias name a version that is good enough, and nothing else. Ends a canary."""
    management, operation = asked.management, asked.operation(body.reason)
    with management.recording("promote", model, operation, alias=alias, version=body.version):
        seen = management.see(model, operation, asked.if_match)
        change = promote_checked(
            management.store,
            model,
            alias,
            body.version,
            operation,
            management.settings,
            force=body.force,
            seen=seen,
        )
    return _done(change)


@router.post("/canary")
def split_alias(model: ModelName, alias: AliasName, body: CanaryRequest, asked: ChangeGiven) -> ChangeDone:
    """Let a version that is good enough have some per cent of the requests to an alias, beside the one it names."""
    management, operation = asked.management, asked.operation(body.reason)
    with management.recording("canary", model, operation, alias=alias, version=body.version):
        seen = management.see(model, operation, asked.if_match)
        change = canary_checked(
            management.store,
            model,
            alias,
            body.version,
            body.weight,
            operation,
            management.settings,
            force=body.force,
            seen=seen,
        )
    return _done(change)


@router.post("/rollback")
def roll_back(
    model: ModelName, alias: AliasName, asked: ChangeGiven, body: RollbackRequest | None = None
) -> ChangeDone:
    """Let an alias name what the history says that it named before; where it has a canary, end that.

    It was good enough before: nothing is checked but that it still exists, so that this is fast.
    """
    management, operation = asked.management, asked.operation(body.reason if body else "")
    with management.recording("rollback", model, operation, alias=alias):
        seen = management.see(model, operation, asked.if_match)
        change = rollback(management.store, model, alias, operation, seen)
    return _done(change)


def _done(change: AliasChange) -> ChangeDone:
    return ChangeDone(operation=change.id, change=HistoryEntry.of(change))
