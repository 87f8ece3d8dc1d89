"""What is answered as JSON, for pydantic to describe."""

from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from handlers.registry.aliases import Alias, AliasChange
from handlers.versions.listing import VersionState

__all__ = [
    "AliasState",
    "ChangeDone",
    "Claimed",
    "Finalised",
    "History",
    "HistoryEntry",
    "ModelDetails",
    "ModelList",
    "ModelSummary",
    "Refusal",
    "Upload",
    "VersionDocument",
    "VersionSummary",
]


class AliasState(BaseModel):
    """What an alias names: a version, or two of which `canary` gets `weight` per cent of the requests."""

    version: str
    canary: str | None = None
    weight: int = 0
    pinned: bool = False

    @classmethod
    def of(cls, alias: Alias) -> "AliasState":
        """Return an alias as it is answered."""
        return cls.model_validate(msgspec.to_builtins(alias))


class HistoryEntry(BaseModel):
    """An entry of the history: who did what, when, why, and what stood against it and was overruled."""

    id: str
    at: str
    by: str
    action: str
    alias: str | None = None
    before: AliasState | None = None
    after: AliasState | None = None
    version: str | None = None
    reason: str = ""
    forced: list[str] = []

    @classmethod
    def of(cls, change: AliasChange) -> "HistoryEntry":
        """Return an entry as it is answered."""
        return cls.model_validate(msgspec.to_builtins(change))


class ChangeDone(BaseModel):
    """A change that is in the history now; `operation` is its id."""

    operation: str
    change: HistoryEntry


class ModelSummary(BaseModel):
    """A model and what its aliases name; `problem`: why that is not known."""

    name: str
    aliases: dict[str, AliasState] = {}
    problem: str | None = None


class ModelList(BaseModel):
    """A page of the models, sorted by name; `next` is what to ask for with `after`, None at the end."""

    models: list[ModelSummary]
    next: str | None = None


class Ending(BaseModel):
    """How a version ended: which operation deleted or closed it, when, by whom and why."""

    id: str
    at: str
    by: str
    reason: str = ""


class VersionSummary(BaseModel):
    """What is known of a version: docs/versions.md says what each `state` means."""

    version: str
    state: Literal["complete", "unfinished", "deleted", "closed"]
    size_bytes: int
    aliases: list[str] = []
    claimed_at: str | None = None
    published_at: str | None = None
    ended: Ending | None = None

    @classmethod
    def of(cls, version: VersionState) -> "VersionSummary":
        """Return a version as it is answered."""
        return cls.model_validate(msgspec.to_builtins(version))


class ModelDetails(BaseModel):
    """The aliases of a model, and all its versions, the oldest first. `etag` names this state of the aliases."""

    name: str
    aliases: dict[str, AliasState]
    versions: list[VersionSummary]
    etag: str | None


class VersionDocument(BaseModel):
    """A version, the aliases that name it, and its manifest: docs/manifest.md."""

    model: str
    version: str
    aliases: list[str]
    manifest: dict[str, Any]


class Upload(BaseModel):
    """Where a file goes: one PUT of it to `url`, with all of `headers`."""

    file: str
    url: str
    headers: dict[str, str]


class Claimed(BaseModel):
    """A number that is taken, and what is to be uploaded until `expires_at`; `uploaded` is there already."""

    model: str
    version: str
    operation: str
    uploads: list[Upload]
    uploaded: list[str]
    expires_at: str


class Finalised(BaseModel):
    """A version that is complete."""

    model: str
    version: str
    operation: str


class History(BaseModel):
    """A page of the changes, newest first; `next` is what to ask for with `before`, None at the end."""

    changes: list[HistoryEntry]
    next: str | None = None


class Refusal(BaseModel):
    """Why a request was refused: in words, in a word for machines, and where the log has it."""

    error: str
    code: str
    request_id: str | None
