"""What must be true of a model in a store, whatever was done to it and whatever failed meanwhile."""

import hashlib
from collections import Counter
from collections.abc import Iterator

import msgspec

from handlers.errors import LambdaserveError, ObjectNotFound, VersionNotFound
from handlers.registry.aliases import Aliases, read_aliases
from handlers.registry.fetch import fetch_manifest
from handlers.registry.manifest import MANIFEST_FILE, Manifest
from handlers.registry.names import aliases_key, file_key, model_prefix, versions_prefix
from handlers.registry.stores import Store
from handlers.registry.stores.folder import FolderStore
from handlers.versions.changes import apply_change, describe
from handlers.versions.claims import CLAIM_FILE

__all__ = ["leftovers", "problems_of", "visible_versions"]


def problems_of(store: Store, model: str) -> list[str]:
    """Return what is wrong with a model: best nothing."""
    aliases, _ = read_aliases(store, model)
    visible, problems = visible_versions(store, model)
    problems += _history_problems(aliases)
    for name, alias in sorted(aliases.aliases.items()):
        problems += [
            f"alias {name}: names {each}, which is not complete" for each in alias.versions if each not in visible
        ]
        problems += [
            f"alias {name}: names {each}, which is retired" for each in alias.versions if each in aliases.retired
        ]
    for manifest in visible.values():
        problems += _file_problems(store, manifest)
        problems += _claim_problems(store, manifest)
    return problems


def visible_versions(store: Store, model: str) -> tuple[dict[str, Manifest], list[str]]:
    """Return the versions that have a manifest, and what is wrong with others that have one; no tombstones."""
    visible: dict[str, Manifest] = {}
    problems = []
    for version in store.list_folders(versions_prefix(model)):
        try:
            store.read(file_key(model, version, MANIFEST_FILE))
            visible[version] = fetch_manifest(store, model, version)
        except (ObjectNotFound, VersionNotFound):
            continue
        except LambdaserveError as error:
            problems.append(str(error))
    return visible, problems


def _history_problems(aliases: Aliases) -> Iterator[str]:
    """Replay the history: it must lead to the aliases and retired versions that are there."""
    replayed = msgspec.structs.replace(aliases, aliases={}, retired=(), history=())
    for change in aliases.history:
        if change.alias is not None and replayed.aliases.get(change.alias) != change.before:
            yield f"history: {describe(change)}, after {replayed.aliases.get(change.alias)}"
        replayed = apply_change(replayed, change)
    if replayed != aliases:
        explained, found = ((each.aliases, each.retired) for each in (replayed, aliases))
        yield f"history: explains {explained}, found {found}"
    for operation, count in Counter(change.id for change in aliases.history).items():
        if count > 1:
            yield f"history: operation {operation} {count} times"


def _claim_problems(store: Store, manifest: Manifest) -> Iterator[str]:
    """A number belongs to the operation that claimed it: nobody else may have finished it."""
    key = file_key(manifest.model, str(manifest.version), CLAIM_FILE)
    claimed = msgspec.json.decode(store.read(key).data)["id"]
    if manifest.published is None or manifest.published.id != claimed:
        yield f"{key}: of operation {claimed}, and the manifest of {manifest.published}"


def _file_problems(store: Store, manifest: Manifest) -> Iterator[str]:
    for name, entry in manifest.files.items():
        key = file_key(manifest.model, str(manifest.version), name)
        try:
            data = store.read(key).data
        except ObjectNotFound:
            yield f"{key}: missing"
            continue
        if (len(data), hashlib.sha256(data).hexdigest()) != (entry.size, entry.sha256):
            yield f"{key}: {len(data)} bytes, other than its manifest says"


def leftovers(store: Store, model: str) -> Iterator[str]:
    """Yield what nothing names: after `gc` best nothing. A folder may hide one file, its lock."""
    visible, _ = visible_versions(store, model)
    prefix = versions_prefix(model)
    for info in store.list_objects(model_prefix(model)):
        version, _, name = info.key.removeprefix(prefix).partition("/")
        named = {CLAIM_FILE, MANIFEST_FILE, *(visible[version].files if version in visible else ())}
        if info.key != aliases_key(model) and name not in named:
            yield f"{info.key}: {info.size} bytes that nothing names"
    for version in store.list_folders(prefix):
        if not _is_there(store, file_key(model, version, MANIFEST_FILE)):
            yield f"version {version}: neither finished nor closed"
    if isinstance(store, FolderStore):
        hidden = {path.relative_to(store.root).as_posix() for path in store.root.rglob(".*")}
        yield from (f"{path}: hidden in the store" for path in sorted(hidden - {".lock"}))


def _is_there(store: Store, key: str) -> bool:
    try:
        store.read(key)
    except ObjectNotFound:
        return False
    return True
