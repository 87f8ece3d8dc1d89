"""`lambdaserve models list`, `show`, `history` and `diff`: the commands that read. No torch."""

import click
from rich.console import Console

from export.cli.output import STORE_HELP, print_json, refusals

__all__ = ["diff", "history", "list_models", "show"]


@click.command("list")
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_models(store: str, as_json: bool) -> None:
    """List the models of a store, their versions, and what their aliases name."""
    with refusals():
        from export.catalogue import list_models as run
        from export.catalogue_tables import to_models_table
        from handlers.registry.stores import open_store

        found = run(open_store(store))
        if as_json:
            print_json(found)
        else:
            Console().print(to_models_table(found))


@click.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON: the manifest of what is shown.")
def show(model: str, version: str | None, store: str, as_json: bool) -> None:
    """Show what VERSION of MODEL is made of; it may be an alias.

    Without VERSION, show what `live` names, with all versions of MODEL, what its aliases name, and the last changes; as
    JSON they are beside what the manifest has.
    """
    with refusals():
        from export.catalogue import show_model, show_version
        from export.catalogue_tables import to_changes_table, to_version_table, to_versions_table
        from handlers.registry.stores import open_store

        opened, console = open_store(store), Console()
        if version is not None:
            manifest = show_version(opened, model, version)
            if as_json:
                print_json(manifest)
            else:
                console.print(to_version_table(manifest))
            return
        shown = show_model(opened, model)
        if as_json:
            print_json(shown.document)
            return
        console.print(to_versions_table(shown))
        if shown.problem is not None:
            click.echo(f"lambdaserve: {shown.problem}", err=True)
        if shown.live is not None:
            console.print(to_version_table(shown.live))
        console.print(to_changes_table(model, shown.changes, last=True))


@click.command()
@click.argument("model")
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def history(model: str, store: str, as_json: bool) -> None:
    """Show all changes of what MODEL's aliases name, newest first: when, who, what, why, and in spite of what."""
    with refusals():
        from export.catalogue import list_changes
        from export.catalogue_tables import to_changes_table
        from handlers.registry.stores import open_store

        changes = list_changes(open_store(store), model)
        if as_json:
            print_json(changes)
        else:
            Console().print(to_changes_table(model, changes))


@click.command()
@click.argument("model")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def diff(model: str, before: str, after: str, store: str, as_json: bool) -> None:
    """Show how version B of MODEL differs from version A, and whether it may take its place; both may be aliases."""
    with refusals():
        from export.catalogue import show_version
        from export.comparison_table import to_comparison_table
        from handlers.registry.stores import open_store
        from handlers.versions.comparison import compare

        opened = open_store(store)
        found = compare(show_version(opened, model, before), show_version(opened, model, after))
        if as_json:
            print_json(found)
        else:
            Console().print(to_comparison_table(found))
