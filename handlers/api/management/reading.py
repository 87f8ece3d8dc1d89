"""Routes that change nothing: models, versions, history, differences."""

from bisect import bisect_right
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response

from handlers.api.management.answers import (
    AliasState,
    History,
    HistoryEntry,
    ModelDetails,
    ModelList,
    ModelSummary,
    VersionDocument,
    VersionSummary,
)
from handlers.api.management.refusals import REFUSALS
from handlers.api.management.requests import ModelName
from handlers.api.management.service import ManagementGiven, quote_etag
from handlers.errors import ArtifactError, CorruptFile, InvalidInput, ModelNotFound, ObjectNotFound, VersionNotFound
from handlers.registry.aliases import Aliases, alias_of, read_aliases
from handlers.registry.aliases import list_models as model_names
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest
from handlers.registry.names import check_version
from handlers.registry.stores import Store
from handlers.versions.comparison import compare
from handlers.versions.listing import list_versions

__all__ = ["router"]

router = APIRouter(
    prefix="/models",
    tags=["models"],
    responses={status: REFUSALS[status] for status in (400, 403, 404, 503)},
)

_LARGEST_PAGE = 200

VersionOrAlias = Annotated[str, "A version as `4`, or an alias as `live`"]


@router.get("")
def list_models(
    management: ManagementGiven,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = 50,
    after: Annotated[str, Query(max_length=63, description="`next` of the page before")] = "",
) -> ModelList:
    """List the models of the store, and what their aliases name."""
    names = model_names(management.store)
    start = bisect_right(names, after)
    page = names[start : start + limit]
    more = len(names) > start + limit
    return ModelList(
        models=[_summary(management.store, name) for name in page],
        next=page[-1] if more else None,
    )


@router.get("/{model}")
def show_model(model: ModelName, management: ManagementGiven, response: Response) -> ModelDetails:
    """Show the aliases of a model and all its versions. The etag is what If-Match takes."""
    aliases, etag = read_aliases(management.store, model)
    versions = list_versions(management.store, model, aliases)
    if etag is None and not versions:
        raise _unknown(management.store, model)
    if etag is not None:
        response.headers["ETag"] = quote_etag(etag)
    return ModelDetails(
        name=model,
        aliases=_states(aliases),
        versions=[VersionSummary.of(version) for version in versions],
        etag=None if etag is None else quote_etag(etag),
    )


@router.get("/{model}/versions/{version}")
def show_version(model: ModelName, version: VersionOrAlias, management: ManagementGiven) -> VersionDocument:
    """Show a version, by its number or through an alias: the manifest is what it is made of."""
    aliases = read_aliases(management.store, model)[0]
    number = _resolve(aliases, version)
    manifest = _fetch(management.store, model, number)
    return VersionDocument(
        model=model, version=number, aliases=aliases.naming(number), manifest=msgspec.to_builtins(manifest)
    )


@router.get("/{model}/history")
def show_history(
    model: ModelName,
    management: ManagementGiven,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = 50,
    before: Annotated[str, Query(max_length=64, description="`next` of the page before")] = "",
) -> History:
    """List what was done to the aliases of a model, newest first."""
    aliases, etag = read_aliases(management.store, model)
    if etag is None and not list_versions(management.store, model, aliases):
        raise _unknown(management.store, model)
    changes = aliases.history
    if before:
        end = next((place for place, change in enumerate(changes) if change.id == before), None)
        if end is None:
            msg = f"before: {before!r}, expected the id of a change in the history of {model!r}"
            raise InvalidInput(msg)
        changes = changes[:end]
    page = changes[: -limit - 1 : -1]
    more = len(changes) > len(page)
    return History(changes=[HistoryEntry.of(change) for change in page], next=page[-1].id if more else None)


@router.get("/{model}/diff")
def show_difference(
    model: ModelName,
    management: ManagementGiven,
    of: Annotated[VersionOrAlias, Query(alias="from", description="A version, or an alias.")],
    to: Annotated[VersionOrAlias, Query(description="A version, or an alias.")],
) -> dict[str, Any]:
    """Compare two versions: tensors, sizes, scores, latency."""
    aliases = read_aliases(management.store, model)[0]
    one, other = (_fetch(management.store, model, _resolve(aliases, name)) for name in (of, to))
    found: dict[str, Any] = msgspec.to_builtins(compare(one, other))
    return found


def _summary(store: Store, name: str) -> ModelSummary:
    try:
        return ModelSummary(name=name, aliases=_states(read_aliases(store, name)[0]))
    except ArtifactError as error:  # one broken model does not hide the others
        return ModelSummary(name=name, problem=str(error))


def _states(aliases: Aliases) -> dict[str, AliasState]:
    return {name: AliasState.of(alias) for name, alias in sorted(aliases.aliases.items())}


def _resolve(aliases: Aliases, name: str) -> str:
    """Return the version that a number or an alias names: of a weighted one, the version beside the canary."""
    return check_version(name) if name.isdecimal() else alias_of(aliases, name).version


def _fetch(store: Store, model: str, version: str) -> Manifest:
    try:
        return fetch_manifest(store, model, version)
    except CorruptFile as error:
        if isinstance(error.__cause__, ObjectNotFound):
            msg = (
                f"model {model!r}: no version {version}, expected one that is complete; GET /models/{model} lists them"
            )
            raise VersionNotFound(msg) from error
        raise


def _unknown(store: Store, model: str) -> ModelNotFound:
    return ModelNotFound(f"model {model!r}: not in {store.url}, expected one that GET /models lists")
