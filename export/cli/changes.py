"""What the commands that change something share: who, why, under which id, and how they say what changed."""

import re
from collections.abc import Callable
from typing import Any

import click

from export.cli.output import STORE_HELP, print_json
from export.markup import printable
from handlers.registry.aliases import AliasChange
from handlers.versions.changes import Operation

__all__ = ["begin_operation", "changing", "print_change"]

_OPERATION_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that each has which changes something: --store, --reason, --operation and --json."""
    options: list[Callable[[Any], Any]] = [
        click.option("--store", required=True, help=STORE_HELP),
        click.option("--reason", default="", help="Why; the history keeps it."),
        click.option(
            "--operation",
            callback=_check_id,
            help="Id of what you do, 8 to 64 of A-Z, a-z, 0-9, _ and -: asked for again, it is not done twice.  "
            "[default: made up]",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the entry in the history as JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def begin_operation(reason: str, operation: str | None) -> Operation:
    """Return the operation that a command is: of whoever sits here."""
    from export.identity import who

    return Operation(who(), reason) if operation is None else Operation(who(), reason, operation)


def print_change(model: str, change: AliasChange, *, as_json: bool) -> None:
    """Say what changed, from what to what, in spite of what, and under which id."""
    if as_json:
        print_json(change)
        return
    from export.catalogue_tables import say_change

    click.echo(f"{model}: {say_change(change)}")
    if change.forced:
        click.echo(printable("\n- ".join(("forced, in spite of:", *change.forced))))
    click.echo(f"operation {change.id}")


def _check_id(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and _OPERATION_ID.fullmatch(value) is None:
        msg = "expected 8 to 64 of A-Z, a-z, 0-9, _ and -"
        raise click.BadParameter(msg)
    return value
