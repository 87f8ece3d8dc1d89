"""`lambdaserve serve`: the application that runs on Lambda, on this machine. No torch."""

import click

from export.cli.output import STORE_HELP, read_settings, refusals

__all__ = ["serve"]


@click.command()
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--models", default="", help="Comma-separated names.  [default: every model that has the alias]")
@click.option("--alias", default="", help="The alias through which versions are found.  [default: live]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a run.  [default: one per core]")
@click.option("--payloads", default="", help="s3://bucket/prefix for large tensors.  [default: none]")
def serve(store: str, models: str, alias: str, host: str, port: int, threads: int | None, payloads: str) -> None:
    """Serve the models of a store over HTTP, with the application that runs on Lambda.

    \b
    Try it:
      curl http://127.0.0.1:8000/v2/health/ready
      curl http://127.0.0.1:8000/v2/models/my-model
    """  # noqa: D301 - a backspace, which keeps click from wrapping what follows
    with refusals():
        from export.serve import serve as run

        options = {"MODELS": models, "ALIAS": alias, "PAYLOADS": payloads, "THREADS": str(threads or "")}
        settings = read_settings(store, {f"LAMBDASERVE_{name}": value for name, value in options.items()})
        click.echo(f"serving {store} on http://{host}:{port} (Ctrl-C stops)", err=True)
        run(settings, host, port)
