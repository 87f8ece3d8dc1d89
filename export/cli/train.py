"""`lambdaserve train`."""

import contextlib
import sys
from pathlib import Path

import click
import msgspec

from export.cli.output import print_json, refusals
from export.errors import ExportError, TrainingInterrupted
from export.progress import Progress
from export.recipes import RECIPES
from export.recipes.stopping import stop_on_ctrl_c

__all__ = ["train"]

_STOPPED = 130  # what shells report for a process that SIGINT ended
_RECIPE_LINES = "".join(f"  {name:<18}{line}\n" for name, line in RECIPES.items())


@click.command(epilog=f"\b\nRecipes:\n{_RECIPE_LINES}")
@click.argument("recipe")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for weights, source and learning curve.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the data.  [default: what is shipped or installed]",
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Decides on initial weights and order."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="How often each sample is seen.  [default: as the recipe says]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(recipe: str, out: Path, data: Path | None, seed: int, epochs: int | None, as_json: bool) -> None:
    """Train an example model, and leave behind what `lambdaserve build` takes.

    RECIPE is one of those below, or a file.py with a RECIPE of your own. The folder then holds weights.pt, source.py,
    learning-curve.csv and learning-curve.svg. Ctrl-C leaves a checkpoint and exits 130; the same command goes on from
    there, and ends in the same weights.
    """
    if recipe not in RECIPES and not recipe.endswith(".py"):
        msg = f"{recipe!r}: expected one of {', '.join(RECIPES)}, or a file.py with a RECIPE"
        raise click.BadParameter(msg, param_hint="RECIPE")
    with refusals(), stop_on_ctrl_c() as stop:
        try:
            from export.recipes.training import train as run
        except ModuleNotFoundError as error:
            msg = f"train: no module {error.name!r}, expected torch; `make setup` installs it"
            raise ExportError(msg) from error
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what libraries print is no result
                result = run(recipe, out, data, seed=seed, epochs=epochs, progress=Progress(), stop=stop)
        except (TrainingInterrupted, KeyboardInterrupt) as error:
            what = str(error) or f"training {recipe}: stopped at once, what was done since the last checkpoint is lost"
            click.echo(f"lambdaserve: {what}; the same command goes on", err=True)
            sys.exit(_STOPPED)
        if as_json:
            print_json(msgspec.to_builtins(result, enc_hook=str))
        else:
            click.echo(f"{result.model}: {result.metric} {result.score:.4g} on {result.samples} held-out samples")
            click.echo(f"Next: lambdaserve build {result.source}:source --out {out / 'artifact'}")
