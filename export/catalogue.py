"""`lambdaserve models`: what is in a store. Needs no torch."""

import msgspec

from handlers.errors import ArtifactError, ModelNotFound, VersionNotFound
from handlers.registry.aliases import SCHEMA_VERSION, Alias, AliasChange, Aliases, find_alias, read_aliases
from handlers.registry.aliases import list_models as model_names
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest
from handlers.registry.names import check_model_name, check_version
from handlers.registry.stores import Store
from handlers.versions.listing import VersionState, list_versions

__all__ = ["ListedModel", "ShownModel", "list_changes", "list_models", "show_model", "show_version"]

_LAST_CHANGES = 5


class ListedModel(msgspec.Struct, frozen=True):
    """A model in a store: its complete versions, oldest first, and what its aliases name, or why that is unknown."""

    name: str
    versions: list[str]
    aliases: dict[str, Alias]
    problem: str | None = None


class ShownModel(msgspec.Struct, frozen=True):
    """A model with all its versions, oldest first, its last changes, newest first, and the manifest of what is live.

    `problem` says why that cannot be read, where it cannot.
    """

    model: str
    aliases: dict[str, Alias]
    versions: list[VersionState]
    changes: list[AliasChange]
    live: Manifest | None
    problem: str | None

    @property
    def document(self) -> dict[str, object]:
        """All of it for machines: the manifest's members, if something is live, and the others beside them."""
        manifest = {} if self.live is None else msgspec.to_builtins(self.live)
        return {
            **manifest,
            "model": self.model,
            "aliases": self.aliases,
            "versions": self.versions,
            "changes": self.changes,
            "problem": self.problem,
        }


def list_models(store: Store) -> list[ListedModel]:
    """Return the models of a store, sorted by name.

    Raises:
        StoreUnavailable: The store could not be asked.
    """
    return [_listed(store, name) for name in model_names(store)]


def _listed(store: Store, name: str) -> ListedModel:
    aliases, problem = _aliases(store, name)
    return ListedModel(name, _versions(store, name, aliases), aliases.aliases, problem)


def _aliases(store: Store, model: str) -> tuple[Aliases, str | None]:
    try:
        return read_aliases(store, model)[0], None
    except ArtifactError as error:
        return Aliases(schema_version=SCHEMA_VERSION, model=model), str(error)


def _versions(store: Store, model: str, aliases: Aliases) -> list[str]:
    return [found.version for found in list_versions(store, model, aliases) if found.state == "complete"]


def show_model(store: Store, model: str) -> ShownModel:
    """Return what there is to know of a model.

    Raises:
        ModelNotFound: There is no such model.
        ArtifactError: Its aliases are not what was written.
        StoreUnavailable: The store could not be asked.
    """
    _check_known(store, model)
    aliases = read_aliases(store, model)[0]
    live, problem = None, None
    if "live" in aliases.aliases:
        try:
            live = fetch_manifest(store, model, aliases.aliases["live"].version)
        except (ArtifactError, VersionNotFound) as error:
            problem = str(error)
    changes = [*reversed(aliases.history[-_LAST_CHANGES:])]
    return ShownModel(model, aliases.aliases, list_versions(store, model, aliases), changes, live, problem)


def list_changes(store: Store, model: str) -> list[AliasChange]:
    """Return all changes of a model's aliases, newest first. Raises as `show_model` does."""
    _check_known(store, model)
    return [*reversed(read_aliases(store, model)[0].history)]


def show_version(store: Store, model: str, version: str | None) -> Manifest:
    """Return the manifest of a version, of what an alias names, or of what `live` does.

    Raises:
        ModelNotFound: There is no such model, or it has no such alias.
        VersionNotFound: There is no such version, or it is not complete.
        ArtifactError: Its manifest is not what was written.
        StoreUnavailable: The store could not be asked.
    """
    _check_known(store, model)
    if version is None:
        return fetch_manifest(store, model, find_alias(store, model, "live").version)
    if not version.isdecimal():  # no alias is all digits
        return fetch_manifest(store, model, find_alias(store, model, version).version)
    known = _versions(store, model, _aliases(store, model)[0])
    if check_version(version) not in known:
        msg = f"model {model!r}: no version {version!r} in {store.url}, expected one of: {', '.join(known) or 'none'}"
        raise VersionNotFound(msg)
    return fetch_manifest(store, model, version)


def _check_known(store: Store, model: str) -> None:
    names = model_names(store)
    if check_model_name(model) not in names:
        msg = f"model {model!r}: not in {store.url}, expected one of: {', '.join(names) or 'none'}"
        raise ModelNotFound(msg)
