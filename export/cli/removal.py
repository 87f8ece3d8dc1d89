"""`lambdaserve models delete` and `gc`: what takes versions out of a store. No torch."""

import sys

import click
from rich.console import Console

from export.cli.changes import begin_operation, changing
from export.cli.output import STORE_HELP, print_json, refusals
from export.progress import Progress

__all__ = ["delete", "gc"]


@click.command()
@click.argument("model")
@click.argument("version")
@changing
def delete(model: str, version: str, store: str, reason: str, operation: str | None, as_json: bool) -> None:
    """Delete VERSION of MODEL, for ever: its number is never used again.

    Refused while an alias names it. It can be interrupted at any time: ask again, or leave the rest to `gc`.
    """
    with refusals():
        from handlers.registry.stores import open_store
        from handlers.versions.removal import delete_version

        change = delete_version(open_store(store), model, version, begin_operation(reason, operation))
        if as_json:
            print_json(change)
        else:
            click.echo(f"deleted {model} version {version} (operation {change.id})")


@click.command()
@click.argument("model", required=False)
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--keep", default=3, show_default=True, type=click.IntRange(0), help="How many newest versions stay.")
@click.option(
    "--min-age-days", default=7.0, show_default=True, type=click.FloatRange(0), help="What is younger stays: days."
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and leave it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what went, or would go, as JSON.")
def gc(model: str | None, store: str, keep: int, min_age_days: float, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Clean up MODEL, or all models: remove what nobody needs.

    That is: versions that no alias names, nor would name after a rollback, that are none of the newest and not young;
    publications that were never finished, after 24 hours; and files that nothing names. Shows all of it and asks first.
    Can be interrupted at any time, and run beside everything else.
    """
    if not (dry_run or yes or sys.stdin.isatty()):
        msg = "nobody to ask here, expected a terminal; say --yes to remove, or --dry-run to look"
        raise click.UsageError(msg)
    with refusals():
        from export.collection import describe_collected, plan_models, to_plan_table
        from export.identity import who
        from handlers.registry.stores import open_store
        from handlers.versions.changes import Operation
        from handlers.versions.collection import Retention, collect

        opened = open_store(store)
        plans, problems = plan_models(opened, model, Retention(keep=keep, min_age_days=min_age_days))
        for problem in problems:
            click.echo(f"lambdaserve: {problem}; left as it is", err=True)
        if not as_json:
            Console().print(to_plan_table(plans) if plans else "nothing to remove")
        if dry_run or not plans:
            if as_json:
                print_json(plans)
            sys.exit(1 if problems else 0)
        if not yes:
            click.confirm("Remove all of it?", abort=True, err=True)
        operation = Operation(who())
        with Progress().step("Removing", sum(plan.size_bytes for plan in plans)) as advance:
            done = [collect(opened, plan, operation, advance) for plan in plans]
        if as_json:
            print_json(done)
        else:
            click.echo(describe_collected(done))
        if problems:
            sys.exit(1)
