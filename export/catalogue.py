"""`lambdaserve models`: what is in a store. Needs no torch."""

import msgspec
from rich.table import Table

from export.report import format_size
from handlers.errors import CorruptFile, ModelNotFound, VersionNotFound
from handlers.registry.aliases import SCHEMA_VERSION, Alias, Aliases, find_alias, read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import Manifest
from handlers.registry.names import check_model_name, check_version, models_prefix
from handlers.registry.stores import Store
from handlers.tasks.definitions import task_kind
from handlers.versions.listing import list_versions

__all__ = ["ListedModel", "list_models", "show_version", "to_models_table", "to_version_table"]


class ListedModel(msgspec.Struct, frozen=True):
    """A model in a store: its complete versions, oldest first, and what its aliases name, or why that is unknown."""

    name: str
    versions: list[str]
    aliases: dict[str, Alias]
    problem: str | None = None


def list_models(store: Store) -> list[ListedModel]:
    """Return the models of a store, sorted by name.

    Raises:
        StoreUnavailable: The store could not be asked.
    """
    return [_listed(store, name) for name in store.list_folders(models_prefix())]


def _listed(store: Store, name: str) -> ListedModel:
    aliases, problem = _aliases(store, name)
    return ListedModel(name, _versions(store, name, aliases), aliases.aliases, problem)


def _aliases(store: Store, model: str) -> tuple[Aliases, str | None]:
    try:
        return read_aliases(store, model)[0], None
    except CorruptFile as error:
        return Aliases(schema_version=SCHEMA_VERSION, model=model), str(error)


def _versions(store: Store, model: str, aliases: Aliases) -> list[str]:
    return [found.version for found in list_versions(store, model, aliases) if found.state == "complete"]


def show_version(store: Store, model: str, version: str | None) -> Manifest:
    """Return the manifest of a version, or of what `live` names.

    Raises:
        ModelNotFound: There is no such model, or it has no alias `live`.
        VersionNotFound: There is no such version, or it is not complete.
        ArtifactError: Its manifest is not what was written.
        StoreUnavailable: The store could not be asked.
    """
    names = list(store.list_folders(models_prefix()))
    if check_model_name(model) not in names:
        msg = f"model {model!r}: not in {store.url}, expected one of: {', '.join(names) or 'none'}"
        raise ModelNotFound(msg)
    if version is None:
        return fetch_manifest(store, model, find_alias(store, model, "live").version)
    known = _versions(store, model, _aliases(store, model)[0])
    if check_version(version) not in known:
        msg = f"model {model!r}: no version {version!r} in {store.url}, expected one of: {', '.join(known) or 'none'}"
        raise VersionNotFound(msg)
    return fetch_manifest(store, model, version)


def to_models_table(models: list[ListedModel]) -> Table:
    """Return the list for people."""
    table = Table("model", "versions", "aliases")
    for model in models:
        aliases = ", ".join(f"{alias} -> {version}" for alias, version in sorted(model.aliases.items()))
        table.add_row(model.name, ", ".join(model.versions), model.problem or aliases)
    return table


def to_version_table(manifest: Manifest) -> Table:
    """Return what a version is made of for people."""
    what = f"{manifest.model} version {manifest.version}, {task_kind(manifest.task)}"
    table = Table(title=f"{what}, built {manifest.provenance.created_at}")
    for column in ("variant", "size", "score", "loss", "time of a run", "peak memory", "chosen on"):
        table.add_column(column)
    for variant in manifest.variants:
        kinds = [f"{cpu} ({choice.basis})" for cpu, choice in manifest.chosen.items() if choice.variant == variant.name]
        table.add_row(
            variant.name,
            format_size(manifest.files[variant.file].size),
            f"{variant.gate.metric} {variant.gate.score:.4f}",
            f"{variant.gate.loss:.2%}",
            f"{variant.latency_ms:.3f} ms",
            format_size(variant.peak_memory_bytes),
            ", ".join(kinds),
        )
    return table
