"""What all routes share: the store, who asks, and under which id."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, Header, Request

from handlers.api.management.telemetry import ManagementTelemetry
from handlers.errors import LambdaserveError, PreconditionFailed
from handlers.registry.aliases import Aliases, read_aliases
from handlers.registry.stores import Store, open_store
from handlers.settings import Settings
from handlers.versions.changes import Operation

__all__ = ["Change", "ChangeGiven", "Management", "ManagementGiven", "quote_etag"]


@dataclass
class Management:
    """The store of this process behind any route. Safe to use from threads."""

    settings: Settings
    telemetry: ManagementTelemetry
    _store: Store | None = field(default=None, repr=False)

    @property
    def store(self) -> Store:
        """Where the models are. Opened when first asked for: a function with wrong settings says what is wrong.

        Raises:
            InvalidSetting: The settings make no sense.
        """
        if self._store is None:
            self.settings.check()
            self._store = open_store(self.settings.store_url)
        return self._store

    def see(self, model: str, operation: Operation, if_match: str | None) -> Aliases | None:
        """Return the aliases on which a change is to rest, if the caller says which; None: any.

        An operation that has happened already may be asked for again, and then changes nothing.

        Raises:
            PreconditionFailed: The aliases are not those with that etag.
            LambdaserveError: As `read_aliases`.
        """
        if if_match is None:
            return None
        aliases, etag = read_aliases(self.store, model)
        if any(change.id == operation.id for change in aliases.history):
            return None
        if not _matches(etag, if_match):
            found = "none there" if etag is None else quote_etag(etag)
            msg = f"aliases of {model!r}: {found}, expected {if_match[:80]} as If-Match says; look at them again"
            raise PreconditionFailed(msg)
        return aliases

    @contextmanager
    def recording(
        self, action: str, model: str, operation: Operation, *, alias: str | None = None, version: str | None = None
    ) -> Iterator[None]:
        """Log a change that was asked for, and how it went. All that is given must have been checked."""
        outcome = "internal_error"
        try:
            yield
            outcome = "done"
        except LambdaserveError as error:
            outcome = error.code
            raise
        finally:
            self.telemetry.changed(
                action,
                model,
                operation=operation.id,
                caller=operation.by,
                outcome=outcome,
                alias=alias,
                version=version,
            )


def quote_etag(etag: str) -> str:
    """Return an etag as HTTP has it, in quotes, whichever way its store has it."""
    return '"{}"'.format(etag.strip('"'))


def _matches(etag: str | None, if_match: str) -> bool:
    """Compare as RFC 9110, section 13.1.1, says: any of a list, or `*` for whatever there is."""
    if etag is None:
        return False
    return if_match.strip() == "*" or quote_etag(etag) in {given.strip() for given in if_match.split(",")}


def _management(request: Request) -> Management:
    found: Management = request.app.state.management
    return found


ManagementGiven = Annotated[Management, Depends(_management)]


@dataclass(frozen=True)
class Change:
    """A change that is asked for: by whom, under which id, and resting on which aliases."""

    management: Management
    caller: str
    operation_id: str
    if_match: str | None

    def operation(self, reason: str) -> Operation:
        """Return what goes into the history."""
        return Operation(self.caller, reason, self.operation_id)


def _change(
    request: Request,
    management: ManagementGiven,
    operation_id: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[A-Za-z0-9_-]{8,64}$",
            description="Id of the operation: asked for again with the same one, it is not done twice. Made up if "
            "absent; each answer has it.",
        ),
    ] = None,
    if_match: Annotated[
        str | None,
        Header(alias="If-Match", max_length=1000, description="Etag of the aliases on which the decision rests."),
    ] = None,
) -> Change:
    identifier = operation_id or uuid4().hex
    request.state.operation_id = identifier  # for the answer, whichever it will be
    return Change(management, request.state.caller, identifier, if_match)


ChangeGiven = Annotated[Change, Depends(_change)]
