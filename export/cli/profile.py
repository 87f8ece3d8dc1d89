"""`lambdaserve profile`: what a cold start of a model takes. No torch."""

import click
from rich.console import Console

from export.cli.output import STORE_HELP, print_json, refusals
from export.progress import Progress

__all__ = ["profile"]


@click.command()
@click.option("--store", required=True, help=STORE_HELP)
@click.option("--model", required=True, help="Name of the model.")
@click.option("--alias", default="live", show_default=True, help="The alias through which the version is found.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How many cold starts to measure.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a run.  [default: one per core]")
@click.option(
    "--memory-mb",
    type=click.IntRange(128, 10240),
    help="Memory of the function: it gets as many of this machine's cores as Lambda gives it.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def profile(
    store: str, model: str, alias: str, rounds: int, threads: int | None, memory_mb: int | None, as_json: bool
) -> None:
    """Start the inference function cold with a model, and show what takes the time until its first answer.

    Each round is a fresh process on this machine that does what it does on Lambda, and is asked for the model's first
    golden. Shown is the round whose total is the median, phase by phase, and which phase to attack. Exits 1 if the
    answer is not the golden.
    """
    with refusals():
        from export.cold_start import Function
        from export.cold_start import profile as run
        from export.waterfall import to_notes, to_waterfall

        result = run(Function(store, model, alias, threads, memory_mb), rounds, Progress())
        if as_json:
            print_json(result)
        else:
            Console().print(to_waterfall(result))
            for note in to_notes(result):
                click.echo(note)
