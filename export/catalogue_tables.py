"""Models, versions and changes as tables for people. Names, reasons and errors may hold anything: none is markup."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from export.catalogue import ListedModel, ShownModel
from export.figures import format_ms, format_score, format_size
from export.markup import printable
from handlers.registry.aliases import Alias, AliasChange
from handlers.registry.manifest import Manifest
from handlers.tasks.definitions import task_kind
from handlers.versions.listing import VersionState

__all__ = ["say_change", "to_changes_table", "to_models_table", "to_version_table", "to_versions_table"]


def to_models_table(models: Sequence[ListedModel]) -> Table:
    """Return the models of a store."""
    table = Table("model", "versions", "aliases")
    for model in models:
        _add(table, model.name, ", ".join(model.versions), model.problem or _names(model.aliases))
    return table


def to_versions_table(shown: ShownModel) -> Table:
    """Return the versions of a model, and what its aliases name."""
    title = _text(f"{shown.model}: {_names(shown.aliases) or 'no alias'}")
    table = Table("version", "state", "size", "aliases", "since", title=title)
    for found in shown.versions:
        at = _when(found.published_at or found.claimed_at or "")
        _add(table, found.version, _state(found), format_size(found.size_bytes), ", ".join(found.aliases), at)
    return table


def to_version_table(manifest: Manifest) -> Table:
    """Return what a version is made of."""
    what = f"{manifest.model} version {manifest.version}, {task_kind(manifest.task)}"
    columns = ("variant", "size", "score", "loss", "time of a run", "peak memory", "chosen on")
    table = Table(*columns, title=_text(f"{what}, built {manifest.provenance.created_at}"))
    for variant in manifest.variants:
        kinds = [f"{cpu} ({choice.basis})" for cpu, choice in manifest.chosen.items() if choice.variant == variant.name]
        _add(
            table,
            variant.name,
            format_size(sum(manifest.files[file].size for file in variant.files)),
            f"{variant.gate.metric} {format_score(variant.gate.score)}",
            f"{variant.gate.loss:.2%}",
            format_ms(variant.latency_ms),
            format_size(variant.peak_memory_bytes),
            ", ".join(kinds),
        )
    return table


def to_changes_table(model: str, changes: Sequence[AliasChange], *, last: bool = False) -> Table:
    """Return changes of a model's aliases in the order given; `last` says that there may be more, and ids elsewhere."""
    title = f"{'last changes' if last else 'history'} of {model}, newest first"
    table = Table("when", "who", "what", "why", "forced", title=title)
    for change in changes:
        what = say_change(change) if last else f"{say_change(change)}\noperation {change.id}"
        _add(table, _when(change.at), change.by, what, change.reason, "\n".join(change.forced))
    return table


def say_change(change: AliasChange) -> str:
    """Say what a change did: `promote live: 1 -> 2`."""
    if change.alias is None:
        return f"{change.action} version {change.version}"
    return f"{change.action} {change.alias}: {change.before or 'nothing'} -> {change.after or 'nothing'}"


def _when(at: str) -> str:
    """Return a time of RFC 3339 so that it can be wrapped between day and hour."""
    return at.replace("T", " ")


def _names(aliases: dict[str, Alias]) -> str:
    return ", ".join(f"{alias} -> {named}" for alias, named in sorted(aliases.items()))


def _state(found: VersionState) -> str:
    return found.state if found.ended is None else f"{found.state} by {found.ended.by} ({found.ended.reason})"


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(_text, cells))


def _text(text: str) -> Text:
    return Text(printable(text))
