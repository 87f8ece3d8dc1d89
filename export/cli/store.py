"""`lambdaserve serve` and `models`: what is done with a store. No torch."""

import click
from rich.console import Console

from export.cli.output import STORE_HELP, print_json, refusals

__all__ = ["models", "serve"]


@click.command()
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--models", default="", help="Comma-separated names.  [default: every model that has the alias]")
@click.option("--alias", default="", help="The alias through which versions are found.  [default: live]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a run.  [default: one per core]")
@click.option("--payloads", default="", help="s3://bucket/prefix for large tensors.  [default: none]")
def serve(store: str, models: str, alias: str, host: str, port: int, threads: int | None, payloads: str) -> None:
    r"""Serve the models of a store over HTTP, with the application that runs on Lambda.

    \b
    Try it:
      curl http://127.0.0.1:8000/v2/health/ready
      curl http://127.0.0.1:8000/v2/models/my-model
    """
    with refusals():
        from export.serve import serve as run
        from handlers.settings import Settings

        options = {"MODELS": models, "ALIAS": alias, "PAYLOADS": payloads, "THREADS": str(threads or "")}
        given = {"LAMBDASERVE_STORE": store} | {
            f"LAMBDASERVE_{name}": value for name, value in options.items() if value
        }
        settings = Settings.from_environ(given=given)
        settings.check()
        click.echo(f"serving {store} on http://{host}:{port} (Ctrl-C stops)", err=True)
        run(settings, host, port)


@click.group()
def models() -> None:
    """See what is in a store."""


@models.command("list")
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_models(store: str, as_json: bool) -> None:
    """List the models of a store, their versions, and what their aliases name."""
    with refusals():
        from export.catalogue import list_models as run
        from export.catalogue import to_models_table
        from handlers.registry.stores import open_store

        found = run(open_store(store))
        if as_json:
            print_json(found)
        else:
            Console().print(to_models_table(found))


@models.command("show")
@click.argument("model")
@click.argument("version", required=False)
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def show_model(model: str, version: str | None, store: str, as_json: bool) -> None:
    """Show what VERSION of MODEL is made of; without VERSION, what `live` names."""
    with refusals():
        from export.catalogue import show_version, to_version_table
        from handlers.registry.stores import open_store

        manifest = show_version(open_store(store), model, version)
        if as_json:
            print_json(manifest)
        else:
            Console().print(to_version_table(manifest))
