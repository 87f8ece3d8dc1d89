"""`lambdaserve models promote`, `canary`, `rollback`, `pin` and `unalias`: what aliases name. No torch."""

import click

from export.cli.changes import begin_operation, changing, print_change
from export.cli.output import read_settings, refusals

__all__ = ["canary", "pin", "promote", "rollback", "unalias"]

_alias = click.option("--alias", default="live", show_default=True, help="The alias.")
_force = click.option(
    "--force", is_flag=True, help="Do it whatever stands against it; the history keeps what that was."
)


@click.command()
@click.argument("model")
@click.argument("version")
@_alias
@_force
@changing
def promote(
    model: str, version: str, alias: str, force: bool, store: str, reason: str, operation: str | None, as_json: bool
) -> None:
    """Let an alias name VERSION of MODEL, and nothing else.

    First the version is fetched, opened and asked its goldens, as where it is served. Unless forced, one is refused
    whose gate failed, that does not answer right on this machine, or that does not fit in the place of the version that
    the alias names: `lambdaserve models diff` shows why.
    """
    with refusals():
        from export.progress import Progress
        from handlers.registry.stores import open_store
        from handlers.versions.promotion import promote_checked

        asked, settings = begin_operation(reason, operation), read_settings(store)
        with Progress().step(f"Checking {model} version {version}"):
            change = promote_checked(open_store(store), model, alias, version, asked, settings, force=force)
        print_change(model, change, as_json=as_json)


@click.command()
@click.argument("model")
@click.argument("version")
@click.option("--weight", required=True, type=click.IntRange(1, 99), help="How many percent of the requests it gets.")
@_alias
@_force
@changing
def canary(
    model: str,
    version: str,
    weight: int,
    alias: str,
    force: bool,
    store: str,
    reason: str,
    operation: str | None,
    as_json: bool,
) -> None:
    """Let VERSION of MODEL have a share of the requests to an alias, beside the version that it names.

    It is checked as for a promotion. `promote` gives it all requests, `rollback` takes them away.
    """
    with refusals():
        from export.progress import Progress
        from handlers.registry.stores import open_store
        from handlers.versions.promotion import canary_checked

        asked, settings = begin_operation(reason, operation), read_settings(store)
        with Progress().step(f"Checking {model} version {version}"):
            change = canary_checked(open_store(store), model, alias, version, weight, asked, settings, force=force)
        print_change(model, change, as_json=as_json)


@click.command()
@click.argument("model")
@_alias
@changing
def rollback(model: str, alias: str, store: str, reason: str, operation: str | None, as_json: bool) -> None:
    """End the canary of MODEL's alias, or where it has none, let it name what it named before.

    What that was, the history says; done twice, this goes two promotions back. Nothing is checked, because it is to be
    quick, and what was served before was checked before.
    """
    with refusals():
        from handlers.registry.stores import open_store
        from handlers.versions.aliasing import rollback as run

        print_change(model, run(open_store(store), model, alias, begin_operation(reason, operation)), as_json=as_json)


@click.command()
@click.argument("model")
@_alias
@click.option("--off", is_flag=True, help="Let it be moved and removed again.")
@changing
def pin(model: str, alias: str, off: bool, store: str, reason: str, operation: str | None, as_json: bool) -> None:
    """Keep MODEL's alias from being moved or removed by anybody, --force or not."""
    with refusals():
        from handlers.registry.stores import open_store
        from handlers.versions.aliasing import pin as run

        change = run(open_store(store), model, alias, begin_operation(reason, operation), pinned=not off)
        print_change(model, change, as_json=as_json)


@click.command()
@click.argument("model")
@click.argument("alias")
@changing
def unalias(model: str, alias: str, store: str, reason: str, operation: str | None, as_json: bool) -> None:
    """Remove ALIAS of MODEL; the version that it names stays."""
    with refusals():
        from handlers.registry.stores import open_store
        from handlers.versions.aliasing import remove_alias

        change = remove_alias(open_store(store), model, alias, begin_operation(reason, operation))
        print_change(model, change, as_json=as_json)
