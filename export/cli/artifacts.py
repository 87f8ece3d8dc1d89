"""`lambdaserve verify` and `publish`: what is done with an artifact. No torch."""

import sys
from pathlib import Path

import click
from rich.console import Console

from export.cli.output import STORE_HELP, print_json, refusals
from export.progress import Progress

__all__ = ["publish", "verify"]


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1), help="Threads of a run while it is timed.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(artifact: Path, threads: int | None, as_json: bool) -> None:
    """Replay the goldens and the gate of the artifact in folder ARTIFACT on this machine.

    Exits 1 if a file is missing or altered, or if the variant that was chosen does not answer here as it was proven to.
    """
    with refusals():
        from export.report import to_verification_table
        from export.verify import verify as run
        from handlers.settings import default_threads

        result = run(artifact, threads or default_threads(), Progress())
        if as_json:
            print_json(result)
        else:
            Console().print(to_verification_table(result))
            would = f"{result.served or 'nothing'} would be served here ({result.cpu})"
            click.echo(f"{result.verdict}: {result.chosen} was chosen, {would}")
        if result.verdict == "failed":
            sys.exit(1)


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--alias", help="Let this alias name the new version; what is served is found through `live`.")
@click.option("--force", is_flag=True, help="Let the alias name it whatever stands against it; the history keeps what.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def publish(artifact: Path, store: str, alias: str | None, force: bool, as_json: bool) -> None:
    """Copy the artifact in folder ARTIFACT into a store as a new version.

    The version is visible when it is complete, and never changes. Without --alias it is there and not served yet; with
    it, it is checked as `lambdaserve models promote` does. Where that refuses it, this exits 1, and the version is
    published all the same.
    """
    with refusals():
        from export.publish import publish as run
        from handlers.registry.stores import open_store

        result = run(artifact, open_store(store), alias, Progress(), force=force)
        if as_json:
            print_json(result)
        else:
            named = f", alias {result.alias}" if result.alias else ""
            click.echo(f"published {result.model} version {result.version} to {result.store}{named}")
